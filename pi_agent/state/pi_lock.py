"""settings.json and auth.json: JSON objects that the host, Pi inside the sandbox and Nix all have a say in.

Three sources, the later wins: what Pi changed inside since we last wrote, what the host says, what Nix says. A choice
made inside stands until the host's file says something new at the same place.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

# Pi locks with proper-lockfile: a directory beside the file, its mtime renewed, stale after ten seconds.
_LOCK_STALE: Final = 10.0

_LOCK_PATIENCE: Final = 2.0

_LOCK_POLL: Final = 0.02


@contextmanager
def locked(directory: int, name: str) -> Iterator[None]:
    """Hold Pi's lock on the file name. A lock that is stale, or held longer than any writer needs, is taken over."""
    lock = f"{name}.lock"
    deadline = time.monotonic() + _LOCK_PATIENCE
    while True:
        try:
            os.mkdir(lock, 0o700, dir_fd=directory)
            break
        except FileExistsError:
            if time.monotonic() > deadline or _stale(directory, lock):
                break
            time.sleep(_LOCK_POLL)
    try:
        yield
    finally:
        try:
            os.rmdir(lock, dir_fd=directory)
        except OSError:  # taken over by Pi meanwhile, or no directory at all: not ours to judge
            pass


def _stale(directory: int, lock: str) -> bool:
    try:
        # One from the future is no better than one from the past.
        return abs(time.time() - os.stat(lock, dir_fd=directory, follow_symlinks=False).st_mtime) > _LOCK_STALE
    except FileNotFoundError:
        return False
