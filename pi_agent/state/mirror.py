"""Mirrors the host's configuration tree into the isolated one: first finds what differs, then applies it.

Every write happens below the isolated tree, in which no link is followed.
"""

from __future__ import annotations

import os

from pi_agent.linux import directories, paths, removal
from pi_agent.linux.directories import Trail
from pi_agent.linux.identities import Identity, acting_as
from pi_agent.messages import notices, refusals
from pi_agent.python.records import record
from pi_agent.python.standard import contextmanager
from pi_agent.state import copying
from pi_agent.state.copying import LimitExceeded, Source, Step, Synced, Target
from pi_agent.state.host_config import HostTree
from pi_agent.state.scans import BYTES_AT_MOST
from pi_agent.state.tree_entries import Entry, Kind, Tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from typing import TypeAlias

# What is remembered of each copied file: the numbers of its Synced in a row, as JSON returns them.
Manifest: TypeAlias = "Mapping[str, Sequence[int]]"


@record
class Plan:
    """What to do, in this order: remove whole entries, make directories, copy files. Paths are relative."""

    remove: tuple[str, ...]
    make: tuple[str, ...]
    copy: tuple[str, ...]


def plan(host: Tree, isolated: Tree, manifest: Manifest, mirrored: Callable[[str], bool]) -> Plan:
    """What makes the isolated tree match the host's.

    An entry that the host lacks is removed if its top-level name is mirrored. Otherwise it is removed only if pi-agent
    once copied it and nobody has changed it since. A file is copied unless both sides are as they were after the last
    copy.
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
    """Whether to remove an entry that the host does not have."""
    if mirrored(name.split("/", 1)[0]):
        return True
    return name in manifest and manifest[name][-len(entry.signature) :] == [*entry.signature]


def _topmost(names: list[str]) -> list[str]:
    """names without those that lie below another one."""
    kept: list[str] = []
    for name in sorted(names, key=lambda name: name.split("/")):
        if not kept or not paths.contains(kept[-1], name):
            kept.append(name)
    return kept


@record
class Done:
    """copied: the signatures of each copied file on both sides. notices: one for each file left out."""

    copied: Mapping[str, Synced]
    notices: tuple[str, ...]


@record
class HostFiles:
    """Where files are copied from.

    tree: the host's directory; None if there is nothing to copy. moved: a directory inside, and the one in the tree
    whose content it gets; None if everything has the same path on both sides.
    """

    tree: HostTree | None
    moved: tuple[str, str] | None = None

    def on_host(self, name: str) -> str:
        """The path in the tree of what has this path inside."""
        if self.moved is None or not paths.contains(self.moved[0], name):
            return name
        inside, outside = self.moved
        return (outside + name[len(inside) :]).lstrip("/")


def carry_out(work: Plan, host: HostFiles, caller: Identity, owner: Identity, isolated: int) -> Done:
    """Carry out the plan below the open directory isolated.

    A host file that has vanished or become unreadable is left out, with a notice. Raises OSError if the isolated tree
    cannot be written, Refusal (65) if files have grown beyond the limit since they were counted.
    """
    with Trail(isolated, directories.ensure) as here:
        with acting_as(owner):
            for name in work.remove:
                removal.remove_path(isolated, name)
            for name in work.make:
                here.open(name)
        return _copied(work.copy, host, caller, Target(owner, here.open, executables=True))


def _copied(names: Sequence[str], host: HostFiles, caller: Identity, target: Target) -> Done:
    tree = host.tree
    copied: dict[str, Synced] = {}
    told: list[str] = []
    if tree is None or not names:
        return Done(copied, ())
    with Trail(tree.descriptor, directories.peek) as there, _progress(len(names)) as step:
        source = Source(caller, lambda name: tree.open_along(there, host.on_host(name)))
        try:
            for batch in copying.transfer(names, source, target, BYTES_AT_MOST, step):
                copied.update(batch.copied)
                told += [notices.left_out(f"{tree.path}/{host.on_host(name)}", why) for name, why in batch.left_out]
        except LimitExceeded as error:
            raise refusals.config_too_large(tree.path, f"{BYTES_AT_MOST // 1024**3} GiB") from error
    return Done(copied, tuple(told))


@contextmanager
def _progress(files: int) -> Iterator[Step]:
    """Show progress, if standard error is a terminal."""
    if not os.isatty(2):
        yield lambda files, size: None
        return
    # An ordinary launch shows nothing.
    from pi_agent.linux import progress_bar
    from pi_agent.messages import progress_texts

    with progress_bar.shown(progress_texts.COPYING_CONFIGURATION, files) as step:
        yield step
