"""Open, create and rename directories by name in an open directory, in a tree that others can write to.

No symbolic link is followed. Whatever occupies the place of a required directory is renamed, not removed, so no data is
lost. The process acts as the tree's owner; a directory without its owner's permissions gets them back.
"""

from __future__ import annotations

import errno
import os
import stat
import time

from pi_agent.linux import paths
from pi_agent.python.standard import contextmanager

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Final, Self

# Errors that mean: the name has vanished, or names something else, since the last look.
GONE: Final = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)
_HELD_AT_MOST: Final = 8  # descriptors: more than configurations are deep, well below any limit on open files
_DIRECTORY: Final = os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def enter(parent: int, name: str) -> int:
    """Open the directory name in the open directory parent, for listing. Raises OSError for a link or any other file.

    A directory that lacks permissions for its owner is set to mode 0700 first.
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
    """Apply `enter` to each component of a relative path, from the open directory top. "" is top itself."""
    return descend(top, path, enter)


def peek_path(top: int, path: str) -> int:
    """As `enter_path`, but changes no permissions: an inaccessible directory raises PermissionError."""
    return descend(top, path, peek)


def peek(parent: int, name: str) -> int:
    """As `enter`, but changes no permissions: an inaccessible directory raises PermissionError."""
    return os.open(name, os.O_RDONLY | _DIRECTORY, dir_fd=parent)


def peek_usable(parent: int, name: str) -> int:
    """As `peek`, but a directory that its owner cannot list, enter and change raises PermissionError."""
    found = peek(parent, name)
    if os.fstat(found).st_mode & stat.S_IRWXU != stat.S_IRWXU:
        os.close(found)
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), name)
    return found


class Peek:
    """Opens directories without changing permissions. One that is closed counts as missing, and sets `closed`.

    step: `peek_usable`, or `peek` for who needs not change what is in them.
    """

    def __init__(self, step: Callable[[int, str], int] = peek_usable) -> None:
        self.closed = False
        self._step = step

    def __call__(self, parent: int, name: str) -> int:
        try:
            return self._step(parent, name)
        except PermissionError as error:
            self.closed = True
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), name) from error


def descend(top: int, path: str, step: Callable[[int, str], int]) -> int:
    """Walk down a relative path from the open directory top. step: opens a name in an open directory."""
    here = os.dup(top)
    for name in filter(None, path.split("/")):
        try:
            below = step(here, name)
        finally:
            os.close(here)
        here = below
    return here


class Trail:
    """Opens directories below an open one by relative path, each from the nearest ancestor that is still open.

    A depth-first walk opens each directory only once, and holds few descriptors at any depth. A context manager. top:
    an open directory, which the caller closes. step: opens a name in an open directory.
    """

    def __init__(self, top: int, step: Callable[[int, str], int]) -> None:
        self._step = step
        # The path and descriptor of each directory held, from the outermost to the last. Paths end with a slash.
        self._held = [("", top)]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        while len(self._held) > 1:
            os.close(self._held.pop()[1])

    def open(self, path: str) -> int:
        """Open the directory path, "" for the top. Valid until the next call. Raises what step raises."""
        try:
            return self._go(path)
        except OSError as error:
            if error.errno not in GONE or len(self._held) == 1:
                raise
        # A held directory may have been moved. Only a walk from the top finds the current one.
        self._go_back("")
        return self._go(path)

    def _go(self, path: str) -> int:
        self._go_back(path)
        for name in filter(None, path[len(self._held[-1][0]) :].split("/")):
            above, directory = self._held[-1]
            self._hold(f"{above}{name}/", self._step(directory, name))
        return self._held[-1][1]

    def take(self, path: str, descriptor: int) -> int:
        """Hold the directory path, which the caller has opened, as the last of the trail. Returns descriptor."""
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
    """`enter` the directory name in parent. Create it (mode 0700) if the name is free.

    Anything else of that name, such as a link to another place, is moved aside first.
    """
    try:
        os.mkdir(name, 0o700, dir_fd=parent)
    except FileExistsError:
        if not stat.S_ISDIR(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode):
            move_aside(parent, name)
            os.mkdir(name, 0o700, dir_fd=parent)
    return enter(parent, name)


def ensure_path(top: int, path: str) -> int:
    """Apply `ensure` to each component of a relative path, from the open directory top. "" is top itself."""
    return descend(top, path, ensure)


def make_path(top: int, path: str) -> None:
    """As `ensure_path`, but close the directory."""
    os.close(ensure_path(top, path))


@contextmanager
def suppress_gone() -> Iterator[None]:
    """Ignore errors that mean a name has vanished or been replaced: a session may be running."""
    try:
        yield
    except OSError as error:
        if error.errno not in GONE:
            raise


def is_directory(parent: int, name: str) -> bool:
    """Whether the name in the open directory parent is a directory. A link is not followed. Raises OSError."""
    return stat.S_ISDIR(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode)


OURS: Final = ".pi-agent-"  # prefix of temporary names
_NAME_AT_MOST: Final = 200  # bytes; leaves room for a suffix within the 255 bytes of a file name


def move_aside(directory: int, name: str) -> str:
    """Rename name in the open directory to `<name>.displaced-<nanoseconds>`, and return the new name."""
    short = os.fsdecode(os.fsencode(name)[:_NAME_AT_MOST])
    kept = f"{short}.displaced-{time.time_ns()}"
    os.rename(name, kept, src_dir_fd=directory, dst_dir_fd=directory)
    return kept
