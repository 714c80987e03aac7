"""Resolve paths by descriptor, so that the object that was checked is the object that is used.

Between two uses of a path, anybody who can write to a directory on it can change what it names. This module resolves a
path one component at a time. It opens each component relative to the one before, and never through a symbolic link
(openat(2), O_NOFOLLOW). At a link, a callback, the judge, decides whether to follow it. The target is then resolved in
the same way.
"""

from __future__ import annotations

import errno
import os
import stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final, TypeAlias

# Called with the open directory that holds a link and the link's name in it. Returns to allow it, or raises.
LinkJudge: TypeAlias = "Callable[[int, str], None]"
# Called with each open directory that the walk goes through. Returns to allow it, or raises.
DirectoryJudge: TypeAlias = "Callable[[int], None]"
_FOLLOWED_AT_MOST: Final = 40  # as the kernel (path_resolution(7))
_COMPONENTS_AT_MOST: Final = 512  # of all links together: long ones that lead through one another would take seconds
_LOOK: Final = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC


def walk(
    path: str,
    *,
    start: int | None = None,
    on_link: LinkJudge | None = None,
    on_directory: DirectoryJudge | None = None,
) -> int:
    """Open path component by component, and return an O_PATH descriptor of what it names (never a link).

    start: the directory in which a relative path begins; absolute paths begin at `/`. on_link: called before a link is
    followed; without it, every link is followed. on_directory: called with every directory that the walk goes through.
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
    """Open what the relative path names below the open directory top, and never anything outside it.

    Links are followed as long as they stay inside. An absolute target counts as inside if it begins with top_path, the
    path of top on the host. on_link: called before a link is followed, as in `walk`. Returns an O_PATH descriptor.
    Raises OSError: EXDEV for a way out, ELOOP past 40 links, or past 512 components of links.
    """
    way = [os.dup(top)]  # the directories that `..` returns to, so that the kernel's own parents are never used
    try:
        waiting = _components(path)
        followed = components = 0
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
            further = _components(target)
            components += len(further)
            if components > _COMPONENTS_AT_MOST:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
            waiting += further
        return os.dup(way[-1])
    finally:
        for descriptor in way:
            os.close(descriptor)


def _target(link: int, place: tuple[int, str], followed: int, on_link: LinkJudge | None) -> str:
    """Read the target of an open link, and close the link. place: the directory and the name to pass to on_link.

    followed: the number of links followed, including this one.
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
    """The components of path, last first, so that pop() returns the next one."""
    return [part for part in reversed(path.split("/")) if part not in ("", ".")]


def real_path(descriptor: int) -> str:
    """The kernel's path of an open descriptor (proc_pid_fd(5))."""
    return os.readlink(f"/proc/self/fd/{descriptor}")


def reopen(descriptor: int, flags: int) -> int:
    """A new descriptor of the same object, opened with flags under the current rights (proc_pid_fd(5))."""
    return os.open(f"/proc/self/fd/{descriptor}", flags | os.O_CLOEXEC)


def only_root_changes(directory: int, or_uid: int = 0) -> bool:
    """Whether only root, or the user or_uid, can add, remove or replace a name in this open directory.

    A POSIX ACL that grants more shows in the group bits, which are its mask (acl(5)).
    """
    status = os.fstat(directory)
    if status.st_uid not in (0, or_uid) or status.st_mode & stat.S_IWOTH:
        return False
    return status.st_gid == 0 or not status.st_mode & stat.S_IWGRP


def contains(directory: str, path: str) -> bool:
    """Whether path is directory or lies below it, judged by name only."""
    return path == directory or path.startswith(directory.rstrip("/") + "/")
