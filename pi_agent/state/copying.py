"""Copies files from one identity's tree to another's.

Files are opened as the source's owner and written as the target's owner, one batch at a time. A descriptor opened under
one identity is used under the other, so neither side needs the other's rights, and root opens nothing. A rename puts
each file in place, complete.
"""

from __future__ import annotations

import errno
import os

from pi_agent.linux import files
from pi_agent.linux.errors import reason
from pi_agent.linux.identities import Identity, acting_as
from pi_agent.linux.signatures import Signature
from pi_agent.python.records import record
from pi_agent.state.tree_entries import entry_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Final, TypeAlias

_BATCH: Final = 64  # descriptors open at once
_CHUNK: Final = 1 << 24  # bytes
# Called with the files and bytes done since the last call.
Step: TypeAlias = "Callable[[int, int], None]"
# Errors that the target causes. Any other error is a fault of the source file.
_TARGETS_FAULT: Final = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG, errno.EACCES, errno.EPERM)


@record
class Synced:
    """The signatures of a file on both sides when it was last copied."""

    host: Signature
    isolated: Signature


@record
class Source:
    """The source of files. open: opens a file for reading by name; called as identity; raises OSError."""

    identity: Identity
    open: Callable[[str], int]


@record
class Target:
    """The target of files.

    folder: returns the directory at a relative path, created if missing and open until the next call; called as
    identity. executables: whether an executable file stays executable. All other permissions are the owner's alone.
    """

    identity: Identity
    folder: Callable[[str], int]
    executables: bool


@record
class Batch:
    """The outcome of a batch.

    copied: (name, signatures), where `host` is the source's. left_out: (name, reason). failed: the error of a target
    that cannot be written, if one ended the batch early. limited: whether the limit cut a file off or ended the batch.
    """

    copied: tuple[tuple[str, Synced], ...]
    left_out: tuple[tuple[str, str], ...]
    failed: OSError | None
    limited: bool


class LimitExceeded(Exception):
    """There is more to copy than the limit allows."""


def transfer(names: Sequence[str], source: Source, target: Target, at_most: int, step: Step) -> Iterator[Batch]:
    """Copy the files in batches, at most at_most bytes in all, and yield the outcome of each batch.

    After the batch concerned, raises OSError if the target cannot be written, and LimitExceeded if a file was cut off
    or not reached.
    """
    for start in range(0, len(names), _BATCH):
        batch, at_most = _copied(names[start : start + _BATCH], source, target, at_most, step)
        yield batch
        if batch.failed is not None:
            raise batch.failed
        if batch.limited:
            raise LimitExceeded


def _copied(names: Sequence[str], source: Source, target: Target, at_most: int, step: Step) -> tuple[Batch, int]:
    """Copy one batch. Returns its outcome, and how many bytes may still be copied."""
    with acting_as(source.identity):
        opened, left_out = _opened(source, names)
    copied, failed, limited = [], None, False
    try:
        with acting_as(target.identity):
            for name, descriptor in opened:
                if at_most <= 0:
                    limited = True
                    break
                folder, last = os.path.split(name)
                try:
                    place = _Place(target.folder(folder), last, target.executables)
                except OSError as error:
                    failed = error
                    break
                try:
                    done, limited = _copy(descriptor, place, at_most, step)
                except OSError as error:
                    if error.errno in _TARGETS_FAULT:
                        failed = error
                        break
                    left_out.append((name, reason(error)))
                else:
                    copied.append((name, done))
                    at_most -= done.isolated[1]
                step(1, 0)
    finally:
        for _, descriptor in opened:
            os.close(descriptor)
    return Batch(tuple(copied), tuple(left_out), failed, limited), at_most


def _opened(source: Source, names: Sequence[str]) -> tuple[list[tuple[str, int]], list[tuple[str, str]]]:
    """Open the files. Returns those that are open, and those that cannot be opened, with the reason.

    Must run as the source's identity.
    """
    opened, left_out = [], []
    for name in names:
        try:
            opened.append((name, source.open(name)))
        except OSError as error:
            left_out.append((name, reason(error)))
    return opened, left_out


@record
class _Place:
    """Where a file goes: a name in an open directory. executables: see Target."""

    directory: int
    name: str
    executables: bool


def _copy(source: int, place: _Place, at_most: int, step: Step) -> tuple[Synced, bool]:
    """Copy the open file source to its place, at most at_most bytes; return also whether that cut it off.

    Must run as the target's identity.
    """
    # The signature is taken before reading, so that a file that changes meanwhile looks changed the next time.
    entry = entry_of(os.fstat(source))
    executable = place.executables and entry.mode & 0o111
    with files.Replacement(place.directory, place.name, 0o700 if executable else 0o600) as new:
        offset = 0
        while count := os.sendfile(new.descriptor, source, offset, min(_CHUNK, at_most - offset)):
            offset += count
            step(0, count)
            if offset >= entry.size:  # bytes added since the signature make the file look changed
                break
        os.utime(new.descriptor, ns=(entry.signature[2], entry.signature[2]))
    return Synced(entry.signature, new.signature), at_most == offset < entry.size
