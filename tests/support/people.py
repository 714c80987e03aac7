"""Identities to test with: whoever runs the tests, under the names that the policies use."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from pi_agent.linux.identities import Identity
from tests.support.policies import USER

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can")

_NOBODY: Final = 65534


def alice(home: Path | str) -> Identity:
    """The host user: acting as it is no change, as it has our own uid."""
    return _ourselves(USER, str(home))


def agent(home: Path | str) -> Identity:
    """The isolated identity, likewise."""
    return _ourselves("pi-agent", str(home))


def _ourselves(name: str, home: str) -> Identity:
    return Identity(name, os.geteuid(), os.getegid(), (os.getegid(),), home)


@contextmanager
def being_nobody() -> Iterator[None]:
    """Be an ordinary user, of no group but its own; who is one already stays who it is."""
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
    """Make path that ordinary user's, if we are root."""
    if os.geteuid() == 0:
        os.chown(path, _NOBODY, _NOBODY)
