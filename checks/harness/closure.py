"""Copies a built system from the store of one guest to that of another: nix-store(1), --export and --import.

A store path's name depends on its inputs, so only the paths that the other guest lacks are sent.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from .login import as_root
from .protocols import Guest
from .run import run

# Reads an archive. Run as root, it needs no signatures.
IMPORT: Final = ("nix-store", "--import")


def of(guest: Guest, link: str) -> list[str]:
    """The store paths behind `link` in the guest: all references first, the target last."""
    words = ["sh", "-euc", 'nix-store --query --requisites "$(readlink "$1")"', "sh", link]
    return run(guest.command(as_root(words)), capture=True).output.split()


def lacking(guest: Guest, paths: Sequence[str]) -> list[str]:
    """The paths that are not valid in the guest's store, in the same order."""
    words = as_root(["nix-store", "--check-validity", "--print-invalid", *paths])
    invalid = set(run(guest.command(words), capture=True).output.split())
    return [path for path in paths if path in invalid]


@contextmanager
def archive(guest: Guest, paths: Sequence[str], directory: Path) -> Iterator[Path]:
    """A file in `directory` that holds these paths of the guest's store for IMPORT, removed on exit."""
    directory.mkdir(parents=True, exist_ok=True)
    file = directory / "closure"
    try:
        run(guest.command(as_root(["nix-store", "--export", *paths])), stdout=file)
        yield file
    finally:
        file.unlink(missing_ok=True)
