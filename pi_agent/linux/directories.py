"""Directories in a tree that somebody else can write to, by name in an open directory.

No link is followed. What stands in the way of a directory that must exist is moved aside rather than removed, so that
nothing is lost. A directory is entered whatever permissions its owner, whom we act as, has taken from it.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pi_agent.linux import directories, paths

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final, Self

# What reaching for a name says when it is gone, or something else, since we looked.
GONE: Final = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)
_HELD_AT_MOST: Final = 8  # descriptors: more than configurations are deep, fewer than anybody is left with
_DIRECTORY: Final = os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def enter(parent: int, name: str) -> int:
    """Open the directory name in the open directory parent for listing. Raises OSError for a link or anything else.

    A directory whose permissions keep us out, although it is ours, is opened up first.
    """
    try:
        here = os.open(name, os.O_RDONLY | _DIRECTORY, dir_fd=parent)
    except PermissionError:
        return _enter_closed(parent, name)
    try:
        if os.fstat(here).st_mode & stat.S_IRWXU != stat.S_IRWXU:
            os.fchmod(here, 0o700)
    except BaseException:
        os.close(here)
        raise
    return here


def _enter_closed(parent: int, name: str) -> int:
    looked = os.open(name, os.O_PATH | _DIRECTORY, dir_fd=parent)
    try:
        os.chmod(f"/proc/self/fd/{looked}", 0o700)
        return paths.reopen(looked, os.O_RDONLY | os.O_DIRECTORY)
    finally:
        os.close(looked)


def enter_path(top: int, path: str) -> int:
    """`enter` each component of a relative path in turn, from the open directory top; "" is top itself."""
    return descend(top, path, enter)


def peek_path(top: int, path: str) -> int:
    """As `enter_path`, but nothing is opened up: what keeps us out raises PermissionError."""
    return descend(top, path, peek)


def peek(parent: int, name: str) -> int:
    """As `enter`, but nothing is opened up: what keeps us out raises PermissionError."""
    return os.open(name, os.O_RDONLY | _DIRECTORY, dir_fd=parent)


def peek_usable(parent: int, name: str) -> int:
    """As `peek`, but a directory that its owner cannot list, enter and change raises PermissionError."""
    found = peek(parent, name)
    if os.fstat(found).st_mode & stat.S_IRWXU != stat.S_IRWXU:
        os.close(found)
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), name)
    return found


def descend(top: int, path: str, step: Callable[[int, str], int]) -> int:
    """Go down a relative path from the open directory top. step: opens a name in an open directory."""
    here = os.dup(top)
    for name in filter(None, path.split("/")):
        try:
            below = step(here, name)
        finally:
            os.close(here)
        here = below
    return here


class Trail:
    """Directories below an open one, by relative path, each opened from the nearest above it that is still open.

    So a walk that goes deep first opens each directory once, and holds few, however deep it goes. A context manager.
    top: open, and not ours to close. step: opens a name in an open directory.
    """

    def __init__(self, top: int, step: Callable[[int, str], int]) -> None:
        self._step = step
        # What leads to each directory that is held, with a slash behind it, from the outermost to the last.
        self._held = [("", top)]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        while len(self._held) > 1:
            os.close(self._held.pop()[1])

    def open(self, path: str) -> int:
        """The directory path, "" for the top: to be used until the next is asked for. Raises what step does."""
        try:
            return self._go(path)
        except OSError as error:
            if error.errno not in GONE or len(self._held) == 1:
                raise
        # A directory that we hold may not be where it was: only the way from the top tells.
        self._go_back("")
        return self._go(path)

    def _go(self, path: str) -> int:
        self._go_back(path)
        for name in filter(None, path[len(self._held[-1][0]) :].split("/")):
            above, directory = self._held[-1]
            self._hold(f"{above}{name}/", self._step(directory, name))
        return self._held[-1][1]

    def take(self, path: str, descriptor: int) -> int:
        """Make the directory path, opened by somebody else, the last of ours."""
        self._go_back(path)
        self._hold(f"{path}/", descriptor)
        return descriptor

    def _go_back(self, path: str) -> None:
        while not f"{path}/".startswith(self._held[-1][0]):
            os.close(self._held.pop()[1])

    def _hold(self, way: str, descriptor: int) -> None:
        self._held.append((way, descriptor))
        if len(self._held) > _HELD_AT_MOST:
            os.close(self._held.pop(-2)[1])


def ensure(parent: int, name: str) -> int:
    """`enter` the directory name in parent, made (mode 0700) when nothing stands there.

    What stands there and is no directory (a link that leads elsewhere, say) is moved aside.
    """
    try:
        os.mkdir(name, 0o700, dir_fd=parent)
    except FileExistsError:
        if not stat.S_ISDIR(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode):
            directories.move_aside(parent, name)
            os.mkdir(name, 0o700, dir_fd=parent)
    return enter(parent, name)


def ensure_path(top: int, path: str) -> int:
    """`ensure` each component of a relative path in turn, from the open directory top; "" is top itself."""
    return descend(top, path, ensure)


def make_path(top: int, path: str) -> None:
    """`ensure_path` for its effect alone."""
    os.close(ensure_path(top, path))


@contextmanager
def suppress_gone() -> Iterator[None]:
    """Go on where something is gone, or something else, since we looked: a session may be running."""
    try:
        yield
    except OSError as error:
        if error.errno not in GONE:
            raise


def is_directory(parent: int, name: str) -> bool:
    return stat.S_ISDIR(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode)


OURS: Final = ".pi-agent-"  # how the names begin that exist only while we work
_NAME_AT_MOST: Final = 200  # bytes that leave room for a suffix below the 255 of a file name


def move_aside(directory: int, name: str) -> str:
    """Give what is called name in the open directory another name, which is returned."""
    short = os.fsdecode(os.fsencode(name)[:_NAME_AT_MOST])
    kept = f"{short}.displaced-{time.time_ns()}"
    os.rename(name, kept, src_dir_fd=directory, dst_dir_fd=directory)
    return kept
