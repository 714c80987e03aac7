"""The guest's system: built by Nix from this checkout, in this guest or in another one, and then applied.

The commands run in the guest. Their other side is `checks/guest`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from . import closure
from .layout import Place
from .login import PROGRAMS, as_root
from .protocols import Guest
from .run import run, say

MARK: Final = "system"
PROFILE: Final = "/nix/var/nix/profiles/system"
BUILD: Final = (
    "nix build --impure --print-build-logs --option allow-import-from-derivation false"
    f" --file {PROGRAMS}/system.nix --out-link {PROFILE}"
).split()


def applied(place: Place, key: str) -> bool:
    """Whether the guest's system is the one named `key`."""
    return place.read(MARK) == key


def switch(place: Place, guest: Guest, key: str, builder: Guest | None) -> None:
    """Apply the system named `key`, unless it is already applied.

    builder: a guest that has the system applied, to copy it from. Without one, the guest builds it.
    """
    if applied(place, key):
        return
    forget(place)
    place.build_log.unlink(missing_ok=True)
    step(place, guest, [f"{PROGRAMS}/prepare"])
    if builder:
        hand_over(place, builder, guest)
    else:
        say("building the machine's system from this checkout")
        step(place, guest, BUILD)
    step(place, guest, [f"{PROGRAMS}/activate", PROFILE])
    step(place, guest, [f"{PROGRAMS}/fixtures"])
    place.write(MARK, key)


def hand_over(place: Place, builder: Guest, guest: Guest) -> None:
    """Copy the builder's system to the guest, as if the guest had built it."""
    paths = closure.of(builder, PROFILE)
    wanted = closure.lacking(guest, paths)
    say(f"handing the built system over ({len(wanted)} of {len(paths)} store paths) and applying it")
    if wanted:
        with closure.archive(builder, wanted, place.directory) as file:
            run(guest.command(as_root(closure.IMPORT)), stdin=file, log=place.build_log)
    step(place, guest, ["ln", "-sfn", paths[-1], PROFILE])


def step(place: Place, guest: Guest, words: Sequence[str]) -> None:
    """Run a command in the guest as its root, with output to the build log."""
    run(guest.command(as_root(words)), log=place.build_log)


def forget(place: Place) -> None:
    """Make the next `switch` apply the system again."""
    place.forget(MARK)
