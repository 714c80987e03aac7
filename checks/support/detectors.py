"""Detectors for races: report anybody who opens, mounts or changes a forbidden place."""

from __future__ import annotations

import ctypes
import hashlib
import os
import threading
from pathlib import Path
from typing import Final

# Part of every path and every content that must not be seen.
FORBIDDEN: Final = "forbidden"


class Watched:
    """Reports anybody who opens, reads, writes or changes something in some directories, by inotify(7)."""

    _EVENTS = 0x1 | 0x2 | 0x4 | 0x20 | 0x40 | 0x80 | 0x100 | 0x200 | 0x400 | 0x800

    def __init__(self, places: list[Path]) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self._descriptor = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        for place in places:
            for directory in [place, *(path for path in place.rglob("*") if path.is_dir())]:
                assert libc.inotify_add_watch(self._descriptor, os.fsencode(directory), self._EVENTS) >= 0
        self.seen()  # events of the search for directories itself

    def seen(self) -> bytes:
        """The events since the last call."""
        try:
            return os.read(self._descriptor, 1 << 16)
        except BlockingIOError:
            return b""

    def close(self) -> None:
        os.close(self._descriptor)


class Mounts:
    """Reads the machine's mounts again and again, and reports those that come from a forbidden place."""

    def __init__(self) -> None:
        self.found: list[str] = []
        self.looks = 0
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self._thread.start()

    def _look(self) -> None:
        while not self._end.wait(0.005):
            self.looks += 1
            for line in Path("/proc/self/mountinfo").read_text().splitlines():
                if FORBIDDEN in line:
                    self.found.append(line)

    def close(self) -> None:
        self._end.set()
        self._thread.join()


def fingerprints(places: list[Path]) -> dict[str, tuple[object, ...]]:
    """Everything that can be known about what is in the places."""
    found: dict[str, tuple[object, ...]] = {}
    for place in places:
        for path in [place, *place.rglob("*")]:
            status = path.lstat()
            content = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
            found[os.fspath(path)] = (status.st_mode, status.st_uid, status.st_gid, status.st_nlink, content)
            found[os.fspath(path)] += (status.st_mtime_ns, status.st_ctime_ns)
    return found
