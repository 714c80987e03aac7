"""Makes and changes trees of files, to sync or to work in. A program, so that it runs as the user whose files they are.

`make TOP FILES`: files of 4 KiB, ten in a directory. `change TOP FILES`: new content for that number of them, spread
evenly, others each time. `directories TOP NUMBER`: a repository with that number of directories. `repositories TOP
NUMBER`: a repository with that number of repositories in it.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Final

SIZE: Final = 4096
PER_DIRECTORY: Final = 10
_TURN: Final = "turn"
_AT_TOP: Final = 100


def name(number: int) -> str:
    """The path in the tree of the file of this number."""
    return f"d{number // PER_DIRECTORY:05}/f{number}.md"


def make(top: Path, files: int) -> None:
    """Make a tree that is not there."""
    for number in range(files):
        path = top / name(number)
        if number % PER_DIRECTORY == 0:
            path.parent.mkdir(parents=True)
        path.write_bytes(os.urandom(SIZE))


def change(top: Path, files: int) -> None:
    """Change files of a tree. Their times differ by whole seconds, since rsync looks at no less."""
    count = len(os.listdir(top)) * PER_DIRECTORY
    # Beside the tree, not in it: it is nothing to sync.
    counter = top.parent.with_name(f".{top.parent.name}.{_TURN}")
    turn = int(counter.read_text()) + 1 if counter.exists() else 1
    counter.write_text(str(turn))
    step = count // files
    for number in range(turn % step, count, step):
        path = top / name(number)
        path.write_bytes(os.urandom(SIZE))
        when = path.stat().st_mtime_ns + turn * 1_000_000_000
        os.utime(path, ns=(when, when))


def repository(top: Path) -> None:
    """Make what sessions take for a repository and protect: not one that git could use."""
    (top / ".git/hooks").mkdir(parents=True)
    (top / ".git/config").touch()


def directories(top: Path, number: int) -> None:
    """Make a repository with this number of directories: a hundred at its top, the others in these."""
    repository(top)
    for each in range(min(number, _AT_TOP)):
        (top / f"d{each:02}").mkdir()
    for each in range(_AT_TOP, number):
        (top / f"d{each % _AT_TOP:02}/d{each // _AT_TOP:03}").mkdir()


def repositories(top: Path, number: int) -> None:
    """Make a repository with this number of further ones at its top."""
    repository(top)
    for each in range(number):
        repository(top / f"r{each:04}")


if __name__ == "__main__":
    kinds = {"make": make, "change": change, "directories": directories, "repositories": repositories}
    kinds[sys.argv[1]](Path(sys.argv[2]), int(sys.argv[3]))
