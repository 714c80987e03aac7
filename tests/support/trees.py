"""Making trees of files to test with."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryFile


def put(path: Path, content: str = "x") -> None:
    """Write text into a file, making the directories above."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)


def await_tick(path: Path) -> None:
    """Wait until what changes from now on gets a later time than path has.

    Linux before 6.13 takes the time of files from a clock that ticks every few milliseconds (and later ones do as long
    as nobody looks): what changes twice within one tick, at the same size, looks unchanged.
    """
    changed = path.stat().st_ctime_ns
    with TemporaryFile(dir=path.parent) as probe:  # its time is of the same clock
        while os.fstat(probe.fileno()).st_ctime_ns <= changed:
            os.utime(probe.fileno())


class Nest:
    """Makes directories one in the other, deeper than a path can say, and removes what is left of them."""

    def __init__(self) -> None:
        self._made: list[Path] = []

    def __call__(self, top: Path, names: Iterable[str]) -> None:
        """Make names below top, which must be there."""
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
        """Remove the directories that something was made in: pytest would run out of stack."""
        subprocess.run(["rm", "-rf", "--", *self._made], check=True)
