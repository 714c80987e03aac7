"""Walking paths by descriptor, so that what was checked is what is used.

A path is a wish: between two looks at it, whoever can write to a directory on the way can put something else there.
Here a path is taken apart and walked one component at a time, each opened relative to the one before and never
through a symbolic link (openat(2), O_NOFOLLOW). Where a link stands on the way, a judge decides whether it may be
followed; then its target is walked in the same manner.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

# What a judge sees: the open directory that holds a link, and the link's name in it. It returns or raises.
LinkJudge = Callable[[int, str], None]
# What a judge of directories sees: each open directory that is walked through. It returns or raises.
DirectoryJudge = Callable[[int], None]
_FOLLOWED_AT_MOST: Final = 40  # as the kernel (path_resolution(7))
_LOOK: Final = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC


def walk(
    path: str,
    *,
    start: int | None = None,
    on_link: LinkJudge | None = None,
    on_directory: DirectoryJudge | None = None,
) -> int:
    """Open path component by component and return an O_PATH descriptor of what it names (never a link).

    start: the directory a relative path begins at; absolute paths begin at `/`. on_link: asked before a link is
    followed; without it every link is followed. on_directory: shown every directory the walk goes through.
    Raises OSError as open(2) would, ELOOP past 40 links, and whatever a judge raises.
    """
    here = _begin(path, start)
    try:
        waiting = _components(path)
        followed = 0
        while waiting:
            name = waiting.pop()
            if on_directory is not None:
                on_directory(here)
            found = os.open(name, _LOOK, dir_fd=here)
            if not stat.S_ISLNK(os.fstat(found).st_mode):
                os.close(here)
                here = found
                continue
            followed += 1
            target = _target(found, (here, name), followed, on_link)
            if target.startswith("/"):
                os.close(here)
                here = os.open("/", _LOOK | os.O_DIRECTORY)
            waiting += _components(target)
        return here
    except BaseException:
        os.close(here)
        raise


def walk_inside(top: int, top_path: str, path: str, *, on_link: LinkJudge | None = None) -> int:
    """Open what the relative path names below the open directory top, and never anything outside of it.

    on_link: asked before a link is followed, as in `walk`.

    Links are followed as long as they stay inside: an absolute target counts as inside when it begins with top_path,
    the name that top has on the host. Returns an O_PATH descriptor. Raises OSError; EXDEV for a way out.
    """
    way = [os.dup(top)]  # what `..` leads back to, so that the kernel's own parents are never asked
    try:
        waiting = _components(path)
        followed = 0
        while waiting:
            name = waiting.pop()
            if name == "..":
                if len(way) == 1:
                    raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), path)
                os.close(way.pop())
                continue
            found = os.open(name, _LOOK, dir_fd=way[-1])
            if not stat.S_ISLNK(os.fstat(found).st_mode):
                way.append(found)
                continue
            followed += 1
            target = _target(found, (way[-1], name), followed, on_link)
            if target.startswith("/"):
                if not contains(top_path, target):
                    raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), path)
                target = target[len(top_path) :]
                while len(way) > 1:
                    os.close(way.pop())
            waiting += _components(target)
        return os.dup(way[-1])
    finally:
        for descriptor in way:
            os.close(descriptor)


def _target(link: int, place: tuple[int, str], followed: int, on_link: LinkJudge | None) -> str:
    """Where an open link leads, which is closed. place: the directory and the name that the judge is asked about.

    followed: how many links were followed, this one included.
    """
    try:
        if followed > _FOLLOWED_AT_MOST:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), place[1])
        if on_link is not None:
            on_link(*place)
        return os.readlink("", dir_fd=link)
    finally:
        os.close(link)


def _begin(path: str, start: int | None) -> int:
    if start is None or path.startswith("/"):
        return os.open("/", _LOOK | os.O_DIRECTORY)
    return os.open(".", _LOOK | os.O_DIRECTORY, dir_fd=start)


def _components(path: str) -> list[str]:
    """The components of path, last first, so that pop() gives the next."""
    return [part for part in reversed(path.split("/")) if part not in ("", ".")]


def real_path(descriptor: int) -> str:
    """The path the kernel knows an open descriptor by (proc_pid_fd(5))."""
    return os.readlink(f"/proc/self/fd/{descriptor}")


def reopen(descriptor: int, flags: int) -> int:
    """A new descriptor of the same object, opened with flags under the rights we have now (proc_pid_fd(5))."""
    return os.open(f"/proc/self/fd/{descriptor}", flags | os.O_CLOEXEC)


def only_root_changes(directory: int, or_uid: int = 0) -> bool:
    """Whether nobody but root, or the user or_uid, can add, remove or replace a name in this open directory.

    A POSIX ACL that grants more shows in the group bits, as its mask (acl(5)).
    """
    status = os.fstat(directory)
    if status.st_uid not in (0, or_uid) or status.st_mode & stat.S_IWOTH:
        return False
    return status.st_gid == 0 or not status.st_mode & stat.S_IWGRP


def contains(directory: str, path: str) -> bool:
    """Whether path is directory or lies below it, by name alone."""
    return path == directory or path.startswith(directory.rstrip("/") + "/")
