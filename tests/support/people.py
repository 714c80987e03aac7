"""Identities for tests: the user who runs the tests, under the names that the policies use."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from pi_agent.linux.identities import Identity
from pi_agent.policy.accounts import Accounts
from tests.support.policies import USER

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can")

_NOBODY: Final = 65534


def alice(home: Path | str) -> Identity:
    """The host user. It has our own uid, so acting as it changes nothing."""
    return _ourselves(USER, str(home))


def agent(home: Path | str) -> Identity:
    """The isolated identity, likewise."""
    return _ourselves(f"pi-agent-{USER}", str(home))


def accounts_of(home: Path | str, state: Path | str) -> Accounts:
    """alice, her agent and the owner of the state. home: alice's; state: the state directory."""
    return Accounts(alice(home), agent(state), owner(state))


def owner(home: Path | str) -> Identity:
    """The owner of the state, likewise."""
    return _ourselves("pi-agent", str(home))


def _ourselves(name: str, home: str) -> Identity:
    return Identity(name, os.geteuid(), os.getegid(), (os.getegid(),), home)


@contextmanager
def being_nobody() -> Iterator[None]:
    """Become an ordinary user without further groups. A user who is one already stays the same."""
    if os.geteuid() != 0:
        yield
        return
    group, groups = os.getegid(), os.getgroups()
    os.setgroups([])
    os.setegid(_NOBODY)
    os.seteuid(_NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(group)
        os.setgroups(groups)


def give_to_nobody(path: Path) -> None:
    """Give path to that ordinary user, if we are root."""
    if os.geteuid() == 0:
        os.chown(path, _NOBODY, _NOBODY)


def nobody(home: Path | str) -> Identity:
    """The ordinary user of `being_nobody`."""
    return Identity("nobody", _NOBODY, _NOBODY, (_NOBODY,), str(home))
