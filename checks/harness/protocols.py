"""What the rest of the harness asks of a backend, and of the guest that it boots.

A backend is a module. It knows how a guest is made, booted, reached and halted; what the guest is made of and what
is done in it is the same for all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from .layout import Place


class Guest(Protocol):
    """A booted guest."""

    def command(self, words: Sequence[str], terminal: bool = False) -> list[str]:
        """What to run here so that `words` run in the guest, as its root.

        Standard streams and the exit status pass through. terminal: whether standard input is one, to be passed on.
        """
        ...


class Backend(Protocol):
    """What every backend offers. All but `find` are called with the place locked."""

    @property
    def KIND(self) -> str:
        """Names its places in the cache, in one word."""
        ...

    @property
    def NEEDS(self) -> Mapping[str, str]:
        """What the host must have → the package that holds it."""
        ...

    @property
    def BUILDER(self) -> str:
        """The backend whose machine builds the system for this one; empty where the guest does it itself."""
        ...

    def key(self, base: Path) -> str:
        """Names the root that `make` makes from this base."""
        ...

    def make(self, place: Place, root: Path, store: Path | None) -> None:
        """Make the guest's root from a base. Nothing runs in the place.

        store: what is in the guest's Nix store from the start, as `harness/closure.py` exports it.
        """
        ...

    def find(self, place: Place) -> Any | None:
        """The booted guest of a place, if there is one."""
        ...

    def boot(self, place: Place) -> Any:
        """Boot the guest and return when its systemd has done its start-up jobs; raises CheckError if it does not."""
        ...

    def send(self, place: Place, guest: Any) -> None:
        """Have the guest see the export of the project as it is now."""
        ...

    def halt(self, place: Place) -> None:
        """Power the guest off and leave nothing of it running, also after a crash."""
        ...
