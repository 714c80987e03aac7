"""Exports the project: the files that git tracks or would track, as they are in the working tree."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from . import layout
from .run import run


@dataclass(frozen=True, slots=True)
class File:
    """One file of the project: its path in it, its permission bits, and its bytes or link target."""

    path: str
    mode: int
    link: bool
    content: bytes

    def key(self) -> bytes:
        """All data of the file, for a digest."""
        return b"\0".join([os.fsencode(self.path), oct(self.mode).encode(), bytes([self.link]), self.content])


def files(checkout: Path) -> list[File]:
    """The project's files, sorted by path. Uncommitted changes count, ignored files do not."""
    # The checkout may belong to the person who called sudo, which git refuses by default.
    listing = run(
        ["git", "-c", f"safe.directory={checkout}", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=checkout,
        capture=True,
    ).output
    names = sorted({name for name in listing.split("\0") if name})
    return [file for name in names if (file := read(checkout, name))]


def read(checkout: Path, name: str) -> File | None:
    """The file named `name`; None if it is deleted but still in the index."""
    path = checkout / name
    if path.is_symlink():
        return File(name, 0, True, os.fsencode(os.readlink(path)))
    if path.is_file():
        return File(name, 0o755 if path.stat().st_mode & stat.S_IXUSR else 0o644, False, path.read_bytes())
    return None


def export(found: list[File], target: Path) -> None:
    """Make `target` hold exactly `found`. Its inode stays the same, because a booted guest has it mounted."""
    target.mkdir(parents=True, exist_ok=True)
    wanted = {file.path: file for file in found}
    for folder, folders, names in os.walk(target, topdown=False):
        links = [name for name in folders if Path(folder, name).is_symlink()]
        for path in (Path(folder, name) for name in [*names, *links]):
            name = str(path.relative_to(target))
            if read(target, name) != wanted.get(name):
                path.unlink()
        if Path(folder) != target and not os.listdir(folder):
            os.rmdir(folder)
    for file in found:
        place(file, target / file.path)


def place(file: File, path: Path) -> None:
    """Write one file, unless it is already there."""
    if path.is_symlink() or path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    if file.link:
        path.symlink_to(os.fsdecode(file.content))
        return
    path.write_bytes(file.content)
    path.chmod(file.mode)


def system_key(found: list[File]) -> str:
    """A name for the inputs of the guest's system: all files except those that are read in place or only by people."""
    aside = (
        "checks/support/",
        "checks/scenarios/",
        "checks/escapes/",
        "checks/benchmark/",
        "checks/harness/",
        "checks/machine",
        "tests/",
        "docs/",
    )
    return layout.digest(
        file.key() for file in found if not file.path.startswith(aside) and not file.path.endswith(".md")
    )
