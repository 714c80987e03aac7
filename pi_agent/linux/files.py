"""Reading and replacing files in a tree that somebody else can write to, by name in an open directory.

No link is followed, and a file is replaced as a whole or not at all.
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
    """All that an open file holds. Raises ValueError when that is more than at_most bytes or it is no regular file."""
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        raise ValueError(reasons.NOT_A_REGULAR_FILE)
    content = b""
    while len(content) <= at_most and (chunk := os.read(descriptor, _CHUNK)):
        content += chunk
    if len(content) > at_most:
        raise ValueError(reasons.larger_than(at_most))
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
    """Put content into the file name (mode 0600) of the open directory, whole or not at all. Raises OSError."""
    with Replacement(directory, name, 0o600) as new:
        view = memoryview(content)
        while view:
            view = view[os.write(new.descriptor, view) :]


def says(directory: int, name: str, content: bytes) -> bool:
    """Whether the file name in the open directory holds content and nothing else."""
    try:
        return read_named(directory, name, len(content)) == content
    except (OSError, ValueError):
        return False
