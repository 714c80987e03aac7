"""The interface of a backend and of the guest that it boots.

A backend is a module. It makes, boots, reaches and halts a guest. The content of the guest and what is done in it are
the same for all backends.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from .layout import Place


class Guest(Protocol):
    """A booted guest."""

    def command(self, words: Sequence[str], terminal: bool = False) -> list[str]:
        """The command line on the host that runs `words` in the guest, as its root.

        Standard streams and the exit status pass through. terminal: whether standard input is a terminal, to be passed
        on.
        """
        ...


class Backend(Protocol):
    """What every backend provides. All functions except `find` are called with the place locked."""

    @property
    def KIND(self) -> str:
        """One word that names the backend's places in the cache."""
        ...

    @property
    def NEEDS(self) -> Mapping[str, str]:
        """What the host needs → the package that provides it."""
        ...

    @property
    def BUILDER(self) -> str:
        """The backend whose machine builds the system for this one; empty if the guest builds it."""
        ...

    def key(self, base: Path) -> str:
        """A name for the root that `make` creates from this base."""
        ...

    def make(self, place: Place, root: Path, store: Path | None) -> None:
        """Make the guest's root from a base. Nothing may be running in the place.

        store: the initial content of the guest's Nix store, as `harness/closure.py` exports it.
        """
        ...

    def find(self, place: Place) -> Any | None:
        """The booted guest of a place, if any."""
        ...

    def boot(self, place: Place) -> Any:
        """Boot the guest, and return when its systemd has finished its start-up jobs. Raises CheckError otherwise."""
        ...

    def send(self, place: Place, guest: Any) -> None:
        """Show the guest the current export of the project."""
        ...

    def halt(self, place: Place) -> None:
        """Power the guest off, and leave nothing of it running, even after a crash."""
        ...
