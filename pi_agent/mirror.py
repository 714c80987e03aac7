"""Bringing the isolated configuration tree up to the host's: what differs, as a value; then making it so.

Files are read as the host user and written as the agent, a batch at a time, through descriptors opened under the
one identity and used under the other. Every write happens below the isolated tree, which is walked without following
a link, and every file appears whole by a rename.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from pi_agent import files, paths, refusals
from pi_agent.identity import Identity, acting_as
from pi_agent.records import record
from pi_agent.refusals import shown
from pi_agent.signature import Signature
from pi_agent.tree import BYTES_AT_MOST, Entry, HostTree, Kind, Notice, Tree, entry_of

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


# What is remembered of each file that was copied: the numbers of its Synced in a row, as JSON gives them back.
Manifest = Mapping[str, Sequence[int]]


@record
class Plan:
    """What to do, in this order: remove whole entries, make directories, copy files. Relative paths."""

    remove: tuple[str, ...]
    make: tuple[str, ...]
    copy: tuple[str, ...]


def plan(host: Tree, isolated: Tree, manifest: Manifest, mirrored: Callable[[str], bool]) -> Plan:
    """What makes the isolated tree agree with the host's.

    What the host lacks is removed where the top-level name is mirrored; elsewhere only what we once copied and
    nobody changed since. A file is copied unless both sides stand as they stood after the last copy.
    """
    remove = [
        name
        for name, entry in isolated.items()
        if (host[name].kind is not entry.kind if name in host else _unwanted(name, entry, manifest, mirrored))
    ]
    gone = _topmost(remove)
    make = [name for name, entry in host.items() if entry.kind is Kind.DIRECTORY and name not in isolated]
    make += [name for name in gone if name in host and host[name].kind is Kind.DIRECTORY]
    copy = [
        name
        for name, entry in host.items()
        if entry.kind is Kind.FILE
        and (name not in isolated or manifest.get(name) != [*entry.signature, *isolated[name].signature])
    ]
    return Plan(tuple(gone), tuple(sorted(make)), tuple(copy))


def _unwanted(name: str, entry: Entry, manifest: Manifest, mirrored: Callable[[str], bool]) -> bool:
    """Whether what the host does not have is to go."""
    if mirrored(name.split("/", 1)[0]):
        return True
    return name in manifest and manifest[name][-len(entry.signature) :] == [*entry.signature]


def _topmost(names: list[str]) -> list[str]:
    """names without those that lie below another of them."""
    kept: list[str] = []
    for name in sorted(names, key=lambda name: name.split("/")):
        if not kept or not paths.contains(kept[-1], name):
            kept.append(name)
    return kept


def carry_out(
    work: Plan, tree: HostTree, caller: Identity, agent: Identity, isolated: int, notice: Notice
) -> dict[str, Synced]:
    """Do what the plan says below the open directory isolated; return how each copied file now stands.

    A host file that vanished or became unreadable meanwhile is passed over with a notice. Raises OSError when the
    isolated tree cannot be written.
    """
    copied: dict[str, Synced] = {}
    with (
        files.Trail(tree.descriptor, files.peek) as there,
        files.Trail(isolated, files.ensure) as here,
        _progress(work) as step,
    ):
        with acting_as(agent):
            for name in work.remove:
                files.remove_path(isolated, name)
            for name in work.make:
                here.open(name)
        try:
            transfer(
                work.copy,
                Source(caller, lambda name: tree.open_along(there, name)),
                Target(agent, here.open, executables=True),
                BYTES_AT_MOST,
                copied.__setitem__,
                lambda name, error: notice(f"{shown(tree.path)}/{shown(name)} was left out: {error.strerror or error}"),
                step,
            )
        except Full as error:  # files grew since they were counted
            raise refusals.config_too_large(tree.path, f"{BYTES_AT_MOST // 1024**3} GiB") from error
    return copied


@contextmanager
def _progress(work: Plan) -> Iterator[Step]:
    """Shown where there is something to copy, and somebody to see it."""
    if not work.copy or not os.isatty(2):
        yield lambda files, size: None
        return
    from pi_agent import progress  # an ordinary launch has nothing to show

    with progress.shown("copying your configuration", len(work.copy)) as step:
        yield step


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
