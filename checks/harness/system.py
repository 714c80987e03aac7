"""The guest's system: built by Nix inside the guest from this checkout, then applied.

The words here run in the guest. Its side is `checks/guest`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from .backend import Guest
from .layout import GUEST_PROJECT, Place
from .run import run, say

MARK: Final = "system"
PROGRAMS: Final = GUEST_PROJECT / "checks" / "guest"
PROFILE: Final = "/nix/var/nix/profiles/system"
BUILD: Final = (
    "nix build --impure --print-build-logs --option allow-import-from-derivation false"
    f" --file {PROGRAMS}/system.nix --out-link {PROFILE}"
).split()


def switch(place: Place, guest: Guest, key: str) -> None:
    """Build and apply the system named `key`, unless it is applied already."""
    if place.read(MARK) == key:
        return
    forget(place)
    say("building the machine's system from this checkout")
    place.build_log.unlink(missing_ok=True)
    for step in (f"{PROGRAMS}/prepare",), BUILD, (f"{PROGRAMS}/activate", PROFILE), (f"{PROGRAMS}/fixtures",):
        run(guest.command(entering("root", "/", False, [], step)), log=place.build_log)
    place.write(MARK, key)


def forget(place: Place) -> None:
    """Make the next `switch` build again."""
    place.forget(MARK)


def entering(user: str, cwd: str, tty: bool, env: Sequence[str], command: Sequence[str]) -> list[str]:
    """The words, run in the guest as its root, that log `user` in and run `command` or a shell."""
    options = [f"--user={user}", f"--cwd={cwd}", *(["--tty"] if tty else []), *(f"--env={pair}" for pair in env)]
    return [f"{PROGRAMS}/enter", *options, "--", *command]
