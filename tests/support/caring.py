"""Sessions that the tests take care of, with a real shell and a stand-in for systemctl."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from pi_agent.linux.terminals import Terminal
from pi_agent.messages.refusal import Refusal
from pi_agent.policy.policy_file import Tools
from pi_agent.session import care, session_names
from pi_agent.session.care import Care
from pi_agent.session.session_names import Session
from tests.support.fakes import Bin
from tests.support.policies import replaced


def tools(bin_: Bin) -> Tools:
    """Stand-ins, but for the shell."""
    return replaced(bin_.tools(), bash=shutil.which("bash"))


def taken(bin_: Bin, number: str = "0", beyond: Terminal | None = None) -> tuple[Session, Care]:
    """A session of alice's that this process takes care of."""
    own = session_names.named("alice", 1000, number)
    shared = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return own, care.taken(tools(bin_), own, shared, beyond)
    except Refusal:
        os.close(shared)
        raise


@contextmanager
def cared_for(bin_: Bin, number: str = "0") -> Iterator[Session]:
    """The same, until its unit has ended."""
    own, care = taken(bin_, number)
    with care:
        yield own
        care.has_unit = False
