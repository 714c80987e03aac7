"""Pi's own lock on a file of its agent directory, in the format of proper-lockfile.

The lock is a directory beside the file. Its mtime is renewed while the lock is held. It is stale after ten seconds.

A lock that sync makes has the sticky bit, which Pi's locks never have. A user has only one sync at a time, so a lock
with that bit was left by a sync that was killed.
"""

from __future__ import annotations

import os
import stat
import time
from contextlib import suppress

from pi_agent.linux import removal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

_STALE: Final = 10.0  # seconds
_PATIENCE: Final = 2.0  # seconds, longer than most writers need
_POLL: Final = 0.02  # seconds
_OURS: Final = 0o700 | stat.S_ISVTX


def is_abandoned(directory: int, name: str) -> bool:
    """Whether a killed sync has left its lock on the file name in the open directory. Use as the agent."""
    status = _status(directory, _lock(name))
    return status is not None and bool(status.st_mode & stat.S_ISVTX)


class PiLock:
    """The lock on the file name in the open directory. Use it as the agent, one sync at a time.

    A lock that is stale or abandoned is taken over. If somebody holds one for longer than most writers need, the wait
    ends and the lock stays its holder's.
    """

    def __init__(self, directory: int, name: str) -> None:
        self._directory = directory
        self._name = name
        self._lock = _lock(name)
        self._deadline = time.monotonic() + _PATIENCE
        self._ours = False

    def take(self) -> bool:
        """Try to take the lock. Returns whether to go on; if not, a short time has passed. Raises OSError."""
        if self._make():
            return True
        if is_abandoned(self._directory, self._name):
            # Whatever it is: an agent may have put something else under that name.
            with suppress(OSError):
                removal.remove(self._directory, self._lock)
            if self._make():
                return True
        elif self._is_stale():
            self._ours = True
            return True
        if time.monotonic() > self._deadline:
            return True
        time.sleep(_POLL)
        return False

    def release(self) -> None:
        """Release the lock, if it is ours."""
        if self._ours:
            with suppress(OSError):  # Pi has taken it over meanwhile, or it is not a directory
                os.rmdir(self._lock, dir_fd=self._directory)

    def _make(self) -> bool:
        try:
            os.mkdir(self._lock, _OURS, dir_fd=self._directory)  # mkdir(2) honours the sticky bit
        except FileExistsError:
            return False
        self._ours = True
        return True

    def _is_stale(self) -> bool:
        status = _status(self._directory, self._lock)
        # A time in the future is as wrong as one long ago.
        return status is not None and abs(time.time() - status.st_mtime) > _STALE


def _lock(name: str) -> str:
    return f"{name}.lock"


def _status(directory: int, lock: str) -> os.stat_result | None:
    try:
        return os.stat(lock, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return None
