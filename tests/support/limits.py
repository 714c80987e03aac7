"""Simulates a process that runs short of its limits."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager, suppress


@contextmanager
def few_descriptors(more: int) -> Iterator[None]:
    """Allow only this many more descriptors than are open now (a login has 1024 in all)."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = {int(number) for number in os.listdir("/proc/self/fd")}
    limit = 0
    while limit - len([number for number in used if number < limit]) < more:
        limit += 1
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


@contextmanager
def no_room() -> Iterator[None]:
    """Make every write to a file fail, as on a full disk. This limit applies to root as well."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def close_queues() -> None:
    """Close queues of events (inotify(7)), which a runner leaves to the end of its process; the kernel counts them."""
    for number in os.listdir("/proc/self/fd"):
        with suppress(OSError):
            if os.readlink(f"/proc/self/fd/{number}") == "anon_inode:inotify":
                os.close(int(number))


def open_descriptors() -> list[str]:
    """The numbers of this process's open descriptors: the same before and after code that leaves none open."""
    return sorted(os.listdir("/proc/self/fd"))
