"""Bringing the isolated configuration tree up to the host's: what differs, as a value; then making it so.

Files are read as the host user and written as the agent, a batch at a time, through descriptors opened under the
one identity and used under the other. Every write happens below the isolated tree, which is walked without following
a link, and every file appears whole by a rename.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby, islice
from typing import Final

from pi_agent import files, paths, refusals
from pi_agent.identity import Identity, acting_as
from pi_agent.refusals import shown
from pi_agent.signature import Signature
from pi_agent.tree import BYTES_AT_MOST, HostTree, Kind, Notice, Tree, entry_of

_BATCH: Final = 64  # descriptors held open at once
# What fails because of where we write; anything else that fails is the file we read.
_TARGETS_FAULT: Final = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG, errno.EACCES, errno.EPERM)


@dataclass(frozen=True, slots=True)
class Synced:
    """How a file stood on both sides when it was last copied."""

    host: Signature
    isolated: Signature


Manifest = Mapping[str, Synced]


@dataclass(frozen=True, slots=True)
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
    remove = [name for name in isolated if _superfluous(name, host, isolated, manifest, mirrored)]
    gone = _topmost(remove)
    make = [name for name, entry in host.items() if entry.kind is Kind.DIRECTORY and name not in isolated]
    make += [name for name in gone if name in host and host[name].kind is Kind.DIRECTORY]
    copy = [
        name
        for name, entry in host.items()
        if entry.kind is Kind.FILE
        and (name not in isolated or manifest.get(name) != Synced(entry.signature, isolated[name].signature))
    ]
    return Plan(tuple(gone), tuple(sorted(make)), tuple(copy))


def _superfluous(name: str, host: Tree, isolated: Tree, manifest: Manifest, mirrored: Callable[[str], bool]) -> bool:
    if name in host:
        return host[name].kind is not isolated[name].kind
    if mirrored(name.split("/", 1)[0]):
        return True
    return name in manifest and manifest[name].isolated == isolated[name].signature


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
    with acting_as(agent):
        for name in work.remove:
            _remove(isolated, name)
        for name in work.make:
            files.make_path(isolated, name)
    copied: dict[str, Synced] = {}
    budget = BYTES_AT_MOST
    for folder, names in _batches(work.copy):
        with acting_as(caller):
            sources = list(_sources(tree, names, notice))
        try:
            with acting_as(agent):
                target = files.ensure_path(isolated, folder)
                try:
                    for name, source in sources:
                        try:
                            copied[name] = _copy(source, target, os.path.basename(name), budget)
                        except OSError as error:
                            if error.errno in _TARGETS_FAULT:
                                raise
                            notice(f"{shown(tree.path)}/{shown(name)} was left out: {error.strerror}")
                        else:
                            budget -= copied[name].isolated[1]
                        if budget <= 0:  # files grew since they were counted
                            raise refusals.config_too_large(tree.path, f"{BYTES_AT_MOST // 1024**3} GiB")
                finally:
                    os.close(target)
        finally:
            for _, source in sources:
                os.close(source)
    return copied


def _batches(names: tuple[str, ...]) -> Iterator[tuple[str, list[str]]]:
    for folder, group in groupby(names, key=os.path.dirname):
        while batch := list(islice(group, _BATCH)):
            yield folder, batch


def _sources(tree: HostTree, names: list[str], notice: Notice) -> Iterator[tuple[str, int]]:
    for name in names:
        try:
            yield name, tree.open(name)
        except OSError as error:
            notice(f"{shown(tree.path)}/{shown(name)} was left out: {error.strerror or error}")


def _copy(source: int, target: int, name: str, budget: int) -> Synced:
    """Copy the open file source to name in the open directory target; at most budget bytes."""
    # Signed before reading: a file that changes meanwhile will look changed the next time.
    entry = entry_of(os.fstat(source))
    with files.Replacement(target, name, 0o700 if entry.mode & 0o111 else 0o600) as new:
        offset = 0
        while count := os.sendfile(new.descriptor, source, offset, min(1 << 24, budget - offset)):
            offset += count
        os.utime(new.descriptor, ns=(entry.signature[2], entry.signature[2]))
    return Synced(entry.signature, new.signature)


def _remove(top: int, name: str) -> None:
    folder, _, last = name.rpartition("/")
    with files.suppress_gone():
        parent = files.enter_path(top, folder)
        try:
            files.remove(parent, last)
        finally:
            os.close(parent)
