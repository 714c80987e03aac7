"""A built system on its way from the store of one guest to that of another: nix-store(1), --export and --import.

Store paths name what they are made from, so only those that the other guest lacks are sent.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from .login import as_root
from .protocols import Guest
from .run import run

# What reads an archive. Root's word is enough: the paths need no signatures.
IMPORT: Final = ("nix-store", "--import")


def of(guest: Guest, link: str) -> list[str]:
    """The store paths of what `link` leads to in the guest: that one last, all that it refers to before."""
    words = ["sh", "-euc", 'nix-store --query --requisites "$(readlink "$1")"', "sh", link]
    return run(guest.command(as_root(words)), capture=True).output.split()


def lacking(guest: Guest, paths: Sequence[str]) -> list[str]:
    """Those that are not valid in the guest's store, in the same order."""
    words = as_root(["nix-store", "--check-validity", "--print-invalid", *paths])
    invalid = set(run(guest.command(words), capture=True).output.split())
    return [path for path in paths if path in invalid]


@contextmanager
def archive(guest: Guest, paths: Sequence[str], directory: Path) -> Iterator[Path]:
    """A file in `directory`, for as long as it is used, that holds these paths of the guest's store for IMPORT."""
    directory.mkdir(parents=True, exist_ok=True)
    file = directory / "closure"
    try:
        run(guest.command(as_root(["nix-store", "--export", *paths])), stdout=file)
        yield file
    finally:
        file.unlink(missing_ok=True)
