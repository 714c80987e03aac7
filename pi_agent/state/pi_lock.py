"""Pi's own lock on a file of its agent directory, in the format of proper-lockfile.

The lock is a directory beside the file. Its holder renews its mtime, twice in the time after which it is stale. Then
anybody may remove it and make one of their own.

A lock that sync makes has the sticky bit, which Pi's locks never have. A user has only one sync at a time, so a lock
with that bit was left by a sync that was killed.
"""

from __future__ import annotations

import os
import stat
import time

from pi_agent.linux import removal
from pi_agent.python.standard import suppress
from pi_agent.state.document_kinds import Kind

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final

_POLL: Final = 0.02  # seconds
_TELL_AFTER: Final = 2.0  # seconds, longer than most writers need
_OURS: Final = 0o700 | stat.S_ISVTX


def is_abandoned(directory: int, name: str) -> bool:
    """Whether there is a lock of a sync on the file name in the open directory. Use as the owner.

    A sync that holds none knows that a killed one has left it.
    """
    status = _status(directory, _lock(name))
    return status is not None and _is_sticky(status)


class PiLock:
    """The lock on a document in the open directory. Use it as the owner, one sync at a time.

    A lock that is stale or abandoned is removed. One that is renewed for longer than Pi itself would wait stays its
    holder's, and the wait ends. waiting: called once, if the wait takes long.
    """

    def __init__(self, directory: int, kind: Kind, waiting: Callable[[], None] = lambda: None) -> None:
        self._directory = directory
        self._kind = kind
        self._lock = _lock(kind.name)
        self._since = time.monotonic()
        self._waiting: Callable[[], None] | None = waiting
        self._ours = False

    def take(self) -> bool:
        """Try to take the lock. Returns whether to go on; if not, a short time has passed. Raises OSError."""
        if self._make():
            return True
        if self._is_nobodys():
            # Whatever it is: an agent may have put something else under that name.
            with suppress(OSError):
                removal.remove(self._directory, self._lock)
            if self._make():
                return True
        waited = time.monotonic() - self._since
        if waited > self._kind.patience:
            return True
        if waited > _TELL_AFTER and self._waiting is not None:
            self._waiting()
            self._waiting = None
        time.sleep(_POLL)
        return False

    def release(self) -> None:
        """Release the lock, if it is ours, and nobody has taken it over meanwhile."""
        if self._ours and is_abandoned(self._directory, self._kind.name):
            with suppress(OSError):  # it has just vanished, or something is in it
                os.rmdir(self._lock, dir_fd=self._directory)
        self._ours = False

    def _make(self) -> bool:
        try:
            os.mkdir(self._lock, _OURS, dir_fd=self._directory)  # mkdir(2) honours the sticky bit
        except FileExistsError:
            return False
        self._ours = True
        return True

    def _is_nobodys(self) -> bool:
        """Whether the lock was left by a killed sync, or by a Pi that does not renew it."""
        status = _status(self._directory, self._lock)
        # A time in the future is as wrong as one long ago.
        return status is not None and (_is_sticky(status) or abs(time.time() - status.st_mtime) > self._kind.stale)


def _lock(name: str) -> str:
    return f"{name}.lock"


def _status(directory: int, lock: str) -> os.stat_result | None:
    try:
        return os.stat(lock, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return None


def _is_sticky(status: os.stat_result) -> bool:
    return bool(status.st_mode & stat.S_ISVTX)
