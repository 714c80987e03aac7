"""Files and directories in a tree that somebody else can write to, by name in an open directory.

No link is followed. What stands in the way of what must be there is moved aside rather than removed, so nothing is
lost; what is to be read or removed is reached whatever permissions its owner, whom we act as, has taken from it.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pi_agent import paths
from pi_agent.signature import Signature, signature_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final, Self

OURS: Final = ".pi-agent-"  # how the names begin that exist only while we work
_TEMPORARY: Final = f"{OURS}new"
_NAME_AT_MOST: Final = 200  # bytes that leave room for a suffix below the 255 of a file name
# What reaching for a name says when it is gone, or something else, since we looked.
GONE: Final = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)
_ATTEMPTS: Final = 100
_CHUNK: Final = 1 << 16
_REMOVING: Final = f"{OURS}removing"
_HELD_AT_MOST: Final = 8  # descriptors: more than configurations are deep, fewer than anybody is left with
_DIRECTORY: Final = os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def read(descriptor: int, at_most: int) -> bytes:
    """All that an open file holds. Raises ValueError when that is more than at_most bytes or it is no regular file."""
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        raise ValueError("it is not a regular file")
    content = b""
    while len(content) <= at_most and (chunk := os.read(descriptor, _CHUNK)):
        content += chunk
    if len(content) > at_most:
        raise ValueError(f"it is larger than {at_most // 1024} KiB")
    return content


def read_named(directory: int, name: str, at_most: int) -> bytes | None:
    """What the file name in the open directory holds; None when there is none.

    Raises OSError for a link or an unreadable file, ValueError as `read` does.
    """
    try:
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory)
    except FileNotFoundError:
        return None
    try:
        return read(descriptor, at_most)
    finally:
        os.close(descriptor)


class Replacement:
    """A file that takes its place whole or not at all: written under another name, then renamed (rename(2)).

    A context manager. directory: open; name: the file to replace; mode: its permissions. Inside, `descriptor` is
    writable; afterwards, `signature` is that of the file we wrote, whatever somebody may have put in its place since.
    Raises OSError; then nothing has changed.
    """

    descriptor: int
    signature: Signature

    def __init__(self, directory: int, name: str, mode: int) -> None:
        self._directory = directory
        self._name = name
        self._mode = mode

    def __enter__(self) -> Replacement:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            self.descriptor = os.open(_TEMPORARY, flags, self._mode, dir_fd=self._directory)
        except FileExistsError:  # an earlier sync was killed at this very point
            remove(self._directory, _TEMPORARY)
            self.descriptor = os.open(_TEMPORARY, flags, self._mode, dir_fd=self._directory)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        placed = False
        try:
            if kind is None:
                os.fchmod(self.descriptor, self._mode)
                self._take_place()
                placed = True
                self.signature = signature_of(os.fstat(self.descriptor))
        finally:
            os.close(self.descriptor)
            if not placed:
                os.unlink(_TEMPORARY, dir_fd=self._directory)

    def _take_place(self) -> None:
        try:
            os.rename(_TEMPORARY, self._name, src_dir_fd=self._directory, dst_dir_fd=self._directory)
        except IsADirectoryError:
            move_aside(self._directory, self._name)
            os.rename(_TEMPORARY, self._name, src_dir_fd=self._directory, dst_dir_fd=self._directory)


def replace(directory: int, name: str, content: bytes) -> None:
    """Put content into the file name (mode 0600) of the open directory, whole or not at all. Raises OSError."""
    with Replacement(directory, name, 0o600) as new:
        view = memoryview(content)
        while view:
            view = view[os.write(new.descriptor, view) :]


def keep(directory: int, name: str, content: bytes) -> None:
    """See that the file name in the open directory says content, writing only when it says something else."""
    if not says(directory, name, content):
        replace(directory, name, content)


def says(directory: int, name: str, content: bytes) -> bool:
    """Whether the file name in the open directory holds content and nothing else."""
    try:
        return read_named(directory, name, len(content)) == content
    except (OSError, ValueError):
        return False


def move_aside(directory: int, name: str) -> str:
    """Give what is called name in the open directory another name, which is returned."""
    short = os.fsdecode(os.fsencode(name)[:_NAME_AT_MOST])
    kept = f"{short}.displaced-{time.time_ns()}"
    os.rename(name, kept, src_dir_fd=directory, dst_dir_fd=directory)
    return kept


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
            move_aside(parent, name)
            os.mkdir(name, 0o700, dir_fd=parent)
    return enter(parent, name)


def ensure_path(top: int, path: str) -> int:
    """`ensure` each component of a relative path in turn, from the open directory top; "" is top itself."""
    return descend(top, path, ensure)


def make_path(top: int, path: str) -> None:
    """`ensure_path` for its effect alone."""
    os.close(ensure_path(top, path))


def remove(directory: int, name: str) -> None:
    """Remove what is called name in the open directory, with all below it; links are removed, never followed.

    However deep the tree is: each directory found inside is first moved up beside the others that are to go, so that
    neither the stack nor the number of open files depends on what somebody nested. What vanishes meanwhile is gone.
    """
    waiting = [name]
    patience = _ATTEMPTS
    while waiting:
        going = waiting.pop()
        with suppress_gone():
            if not _is_directory(directory, going):
                os.unlink(going, dir_fd=directory)
                continue
            waiting += _emptied(directory, going)
            try:
                os.rmdir(going, dir_fd=directory)
            except OSError as error:  # somebody put something into it meanwhile
                patience -= 1
                if error.errno != errno.ENOTEMPTY or not patience:
                    raise
                waiting.append(going)


def remove_path(top: int, path: str) -> None:
    """`remove` what is at a relative path below the open directory top, if it is still there."""
    folder, _, name = path.rpartition("/")
    with suppress_gone():
        parent = enter_path(top, folder)
        try:
            remove(parent, name)
        finally:
            os.close(parent)


def _emptied(directory: int, name: str) -> list[str]:
    """Remove what is in the directory name, but for directories: they are moved up, and their new names returned."""
    raised = []
    inside = enter(directory, name)
    try:
        for child in os.listdir(inside):
            with suppress_gone():
                if not _is_directory(inside, child):
                    os.unlink(child, dir_fd=inside)
                    continue
                os.close(enter(inside, child))  # a directory moves only if it may be written to
                moved = f"{_REMOVING}-{os.urandom(8).hex()}"
                os.rename(child, moved, src_dir_fd=inside, dst_dir_fd=directory)
                raised.append(moved)
    finally:
        os.close(inside)
    return raised


@contextmanager
def suppress_gone() -> Iterator[None]:
    """Go on where something is gone, or something else, since we looked: a session may be running."""
    try:
        yield
    except OSError as error:
        if error.errno not in GONE:
            raise


def _is_directory(parent: int, name: str) -> bool:
    return stat.S_ISDIR(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode)
