"""Pi's own lock on a file of its agent directory, in the format of proper-lockfile.

The lock is a directory beside the file. Its mtime is renewed while the lock is held. It is stale after ten seconds.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

_STALE: Final = 10.0  # seconds
_PATIENCE: Final = 2.0  # seconds, longer than any writer needs
_POLL: Final = 0.02  # seconds


class PiLock:
    """The lock on the file name in the open directory. Use it as the agent.

    A lock that is stale, or held for longer than any writer needs, is taken over.
    """

    def __init__(self, directory: int, name: str) -> None:
        self._directory = directory
        self._lock = f"{name}.lock"
        self._deadline = time.monotonic() + _PATIENCE

    def take(self) -> bool:
        """Try to take the lock. Returns whether it is now held; if not, a short time has passed. Raises OSError."""
        try:
            os.mkdir(self._lock, 0o700, dir_fd=self._directory)
        except FileExistsError:
            if time.monotonic() <= self._deadline and not self._is_stale():
                time.sleep(_POLL)
                return False
        return True

    def release(self) -> None:
        """Release the lock."""
        with suppress(OSError):  # Pi has taken it over meanwhile, or it is not a directory
            os.rmdir(self._lock, dir_fd=self._directory)

    def _is_stale(self) -> bool:
        try:
            changed = os.stat(self._lock, dir_fd=self._directory, follow_symlinks=False).st_mtime
        except FileNotFoundError:
            return False
        return abs(time.time() - changed) > _STALE  # a time in the future is as wrong as one long ago
