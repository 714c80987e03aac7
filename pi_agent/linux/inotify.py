"""Learns that something happened to open files and directories, by descriptor (inotify(7))."""

from __future__ import annotations

import os

from pi_agent.python.c_library import checked, libc

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

# What happened: its metadata changed, links included; a name in it went; it was removed, moved; a name came.
ATTRIB: Final = 0x4
CREATE: Final = 0x100
DELETE: Final = 0x200
DELETE_SELF: Final = 0x400
MOVED_FROM: Final = 0x40
MOVED_TO: Final = 0x80
MOVE_SELF: Final = 0x800
# Names come and go in a directory.
NAMES: Final = CREATE | DELETE | MOVED_FROM | MOVED_TO
_MASK_ADD: Final = 0x20000000
_READ: Final = 1 << 16  # bytes
_HEADER: Final = 16  # bytes: int wd; uint32_t mask, cookie, len


def opened() -> int:
    """A new queue of events, which is never waited for. Raises OSError; EMFILE if root has too many."""
    return checked(libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))


def add(queue: int, descriptor: int, what: int) -> None:
    """Have the queue told what happens to the open object. Raises OSError; ENOSPC if root watches too much.

    The working directory is /proc/self/fd (mount_namespaces.entered).
    """
    checked(libc.inotify_add_watch(queue, b"%d" % descriptor, what | _MASK_ADD))


def read(queue: int) -> Iterator[str]:
    """Take all events, and yield the name of each, which is empty if it is of the watched object itself."""
    while True:
        try:
            events = os.read(queue, _READ)
        except BlockingIOError:
            return
        while events:
            length = int.from_bytes(events[12:_HEADER], "little")
            yield os.fsdecode(events[_HEADER : _HEADER + length].rstrip(b"\0"))
            events = events[_HEADER + length :]
