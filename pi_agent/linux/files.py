"""Read and replace files by name in an open directory, in a tree that others can write to.

No symbolic link is followed. A file is replaced completely or not at all.
"""

from __future__ import annotations

import os
import stat

from pi_agent.linux import directories, removal
from pi_agent.linux.signatures import Signature, signature_of
from pi_agent.messages import reasons

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final


_TEMPORARY: Final = f"{directories.OURS}new"
_CHUNK: Final = 1 << 16


def read(descriptor: int, at_most: int) -> bytes:
    """The content of an open file. Raises ValueError if it is not a regular file or holds more than at_most bytes."""
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        raise ValueError(reasons.NOT_A_REGULAR_FILE)
    content = b""
    while len(content) <= at_most and (chunk := os.read(descriptor, _CHUNK)):
        content += chunk
    if len(content) > at_most:
        raise ValueError(reasons.larger_than(at_most))
    return content


def read_named(directory: int, name: str, at_most: int) -> bytes | None:
    """The content of the file name in the open directory; None if it does not exist.

    Raises OSError for a link or an unreadable file, and ValueError as `read` does.
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
    """Replaces a file completely or not at all: writes it under another name, then renames it (rename(2)).

    A context manager. directory: open; name: the file to replace; mode: its permissions. While entered, `descriptor` is
    writable. Afterwards, `signature` belongs to the file that was written, even if another file has replaced it since.
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
        except FileExistsError:  # left by a sync that was killed at this point
            removal.remove(self._directory, _TEMPORARY)
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
            directories.move_aside(self._directory, self._name)
            os.rename(_TEMPORARY, self._name, src_dir_fd=self._directory, dst_dir_fd=self._directory)


def replace(directory: int, name: str, content: bytes) -> None:
    """Write content to the file name (mode 0600) of the open directory, completely or not at all. Raises OSError."""
    with Replacement(directory, name, 0o600) as new:
        view = memoryview(content)
        while view:
            view = view[os.write(new.descriptor, view) :]


def says(directory: int, name: str, content: bytes) -> bool:
    """Whether the file name in the open directory holds content and nothing else. False if it cannot be read."""
    try:
        return read_named(directory, name, len(content)) == content
    except (OSError, ValueError):
        return False
