"""Bringing the isolated configuration tree up to the host's: what differs, as a value; then making it so.

Files are read as the host user and written as the agent, a batch at a time, through descriptors opened under the
one identity and used under the other. Every write happens below the isolated tree, which is walked without following
a link, and every file appears whole by a rename.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator, Sequence

from pi_agent.linux import files
from pi_agent.linux.identities import Identity, acting_as
from pi_agent.linux.signatures import Signature
from pi_agent.python.records import record
from pi_agent.state.tree_entries import entry_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

_BATCH: Final = 64  # descriptors held open at once

_CHUNK: Final = 1 << 24  # bytes

# Told of files and of bytes that are done.
Step = Callable[[int, int], None]

# What fails because of where we write; anything else that fails is the file we read.
_TARGETS_FAULT: Final = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG, errno.EACCES, errno.EPERM)


@record
class Synced:
    """How a file stood on both sides when it was last copied."""

    host: Signature
    isolated: Signature


@record
class Source:
    """Where files come from. open: a file by name, for reading, called as identity; raises OSError."""

    identity: Identity
    open: Callable[[str], int]


@record
class Target:
    """Where files go.

    folder: gives the directory of that relative path, open until the next is asked for and made where missing; called
    as identity.
    executables: whether a file that is executable stays so; all permissions beyond are the owner's alone.
    """

    identity: Identity
    folder: Callable[[str], int]
    executables: bool


class Full(Exception):
    """More was to be copied than may be."""


def transfer(
    names: Sequence[str],
    source: Source,
    target: Target,
    at_most: int,
    copied: Callable[[str, Synced], None],
    left_out: Callable[[str, OSError], None],
    step: Step,
) -> None:
    """Copy files from one identity's tree to another's, at most so many bytes.

    Each appears whole by a rename. copied: told how a file then stands on both sides (host: the source). left_out: told
    of a file that could not be read. step: told of files and bytes done since the last time. Raises OSError when the
    target cannot be written, Full after the file that was cut off.
    """
    for batch in _batches(names):
        with acting_as(source.identity):
            opened = list(_opened(source, batch, left_out))
        try:
            with acting_as(target.identity):
                for name, descriptor in opened:
                    directory = target.folder(os.path.dirname(name))
                    try:
                        done = _copy(descriptor, directory, name, target, at_most, step)
                    except OSError as error:
                        if error.errno in _TARGETS_FAULT:
                            raise
                        left_out(name, error)
                    else:
                        copied(name, done)
                        at_most -= done.isolated[1]
                    step(1, 0)
                    if at_most <= 0:
                        raise Full
        finally:
            for _, descriptor in opened:
                os.close(descriptor)


def _batches(names: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(names), _BATCH):
        yield names[start : start + _BATCH]


def _opened(
    source: Source, names: Sequence[str], left_out: Callable[[str, OSError], None]
) -> Iterator[tuple[str, int]]:
    for name in names:
        try:
            yield name, source.open(name)
        except OSError as error:
            left_out(name, error)


def _copy(source: int, directory: int, name: str, target: Target, at_most: int, step: Step) -> Synced:
    """Copy the open file source to the open directory, under the last part of name; at most so many bytes."""
    # Signed before reading: a file that changes meanwhile will look changed the next time.
    entry = entry_of(os.fstat(source))
    executable = target.executables and entry.mode & 0o111
    with files.Replacement(directory, os.path.basename(name), 0o700 if executable else 0o600) as new:
        offset = 0
        while count := os.sendfile(new.descriptor, source, offset, min(_CHUNK, at_most - offset)):
            offset += count
            step(0, count)
            if offset == entry.size:  # what was added since it was signed will look changed
                break
        os.utime(new.descriptor, ns=(entry.signature[2], entry.signature[2]))
    return Synced(entry.signature, new.signature)
