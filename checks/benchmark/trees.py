"""Makes and changes trees of files to sync. A program, so that it runs as the user whose files they are.

`make TOP FILES`: files of 4 KiB, ten in a directory. `change TOP FILES`: new content for that number of them, spread
evenly, others each time.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Final

SIZE: Final = 4096
PER_DIRECTORY: Final = 10
_TURN: Final = "turn"


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


if __name__ == "__main__":
    {"make": make, "change": change}[sys.argv[1]](Path(sys.argv[2]), int(sys.argv[3]))
