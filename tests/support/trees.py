"""Make and compare trees of files, for tests."""

from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import orjson


def put(path: Path, content: str = "x") -> None:
    """Write text to a file, and make the directories above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)


def write(path: Path, content: object) -> None:
    """Write text, bytes, or anything else as JSON, and make the directories above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(
        content
        if isinstance(content, bytes)
        else content.encode()
        if isinstance(content, str)
        else orjson.dumps(content)
    )


def read(path: Path) -> Any:
    """The JSON in a file."""
    return orjson.loads(path.read_bytes())


def snapshot(top: Path) -> dict[str, object]:
    """Everything below top, by relative name: a file's bytes, a link's target, or None for a directory."""
    found: dict[str, object] = {}
    for folder, directories, files in os.walk(top):
        for name in [*directories, *files]:
            path = os.path.join(folder, name)
            relative = os.path.relpath(path, top)
            if os.path.islink(path):
                found[relative] = f"-> {os.readlink(path)}"
            elif os.path.isdir(path):
                found[relative] = None
            elif os.path.isfile(path):
                with open(path, "rb") as file:
                    found[relative] = file.read()
            else:
                found[relative] = "special"
    return found


@contextmanager
def opened(path: Path) -> Iterator[int]:
    """A directory, open."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def mode_of(path: Path) -> int:
    """The permissions of path itself."""
    return stat.S_IMODE(path.lstat().st_mode)


def displaced(top: Path, name: str) -> list[Path]:
    """What was moved aside from name in top, the oldest first."""
    return sorted(top.glob(f"{name}.displaced-*"))


def statuses(top: Path) -> dict[str, tuple[int, ...]]:
    """What lstat(2) reports for top and everything below it, except access times. Equal if nothing has changed."""
    found: dict[str, tuple[int, ...]] = {}
    for path in [top, *sorted(top.rglob("*"))]:
        at = path.lstat()
        found[str(path)] = (
            at.st_ino, at.st_mode, at.st_nlink, at.st_uid, at.st_gid, at.st_size, at.st_mtime_ns, at.st_ctime_ns,
        )  # fmt: skip
    return found


def await_tick(path: Path) -> None:
    """Wait until later changes get a later time than path has.

    Linux before 6.13 takes file times from a clock that ticks every few milliseconds (later versions do so as long as
    nobody looks). A file that changes twice within one tick, at the same size, looks unchanged.
    """
    changed = path.stat().st_ctime_ns
    with TemporaryFile(dir=path.parent) as probe:  # its time comes from the same clock
        while os.fstat(probe.fileno()).st_ctime_ns <= changed:
            os.utime(probe.fileno())


class Nest:
    """Makes nested directories, deeper than a path can express, and removes what is left of them."""

    def __init__(self) -> None:
        self._made: list[Path] = []

    def __call__(self, top: Path, names: Iterable[str]) -> None:
        """Make names below top, which must exist."""
        here = os.open(top, os.O_PATH)
        for name in names:
            if top not in self._made:
                self._made.append(top)
            os.mkdir(name, dir_fd=here)
            below = os.open(name, os.O_PATH, dir_fd=here)
            os.close(here)
            here = below
        os.close(here)

    def clear(self) -> None:
        """Remove the directories that something was made in: pytest would exhaust the stack."""
        subprocess.run(["rm", "-rf", "--", *self._made], check=True)
