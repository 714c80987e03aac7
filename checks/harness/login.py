"""How words are run in a guest as somebody. The guest's side is `checks/guest/enter`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from .layout import GUEST_PROJECT

PROGRAMS: Final = GUEST_PROJECT / "checks" / "guest"


def entering(user: str, cwd: str, tty: bool, env: Sequence[str], command: Sequence[str]) -> list[str]:
    """The words, run in the guest as its root, that log `user` in and run `command` or a shell."""
    options = [f"--user={user}", f"--cwd={cwd}", *(["--tty"] if tty else []), *(f"--env={pair}" for pair in env)]
    return [f"{PROGRAMS}/enter", *options, "--", *command]


def as_root(command: Sequence[str]) -> list[str]:
    """The words that run a command of the harness's own in the guest."""
    return entering("root", "/", False, [], command)
