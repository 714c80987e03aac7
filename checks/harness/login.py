"""Command lines that run something in a guest as a user. The guest's side is `checks/guest/enter`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from .layout import GUEST_PROJECT

PROGRAMS: Final = GUEST_PROJECT / "checks" / "guest"


def entering(user: str, cwd: str, tty: bool, env: Sequence[str], command: Sequence[str]) -> list[str]:
    """The command line for the guest's root that logs `user` in and runs `command` or a shell."""
    options = [f"--user={user}", f"--cwd={cwd}", *(["--tty"] if tty else []), *(f"--env={pair}" for pair in env)]
    return [f"{PROGRAMS}/enter", *options, "--", *command]


def as_root(command: Sequence[str]) -> list[str]:
    """The command line that runs one of the harness's own commands in the guest."""
    return entering("root", "/", False, [], command)
