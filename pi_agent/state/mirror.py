"""Bringing the isolated configuration tree up to the host's: what differs, as a value; then making it so.

Files are read as the host user and written as the agent, a batch at a time, through descriptors opened under the
one identity and used under the other. Every write happens below the isolated tree, which is walked without following
a link, and every file appears whole by a rename.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from pi_agent.linux import directories, paths, removal
from pi_agent.linux.identities import Identity, acting_as
from pi_agent.messages import refusals
from pi_agent.messages.quoting import escaped
from pi_agent.python.records import record
from pi_agent.state import copying
from pi_agent.state.copying import Full, Source, Step, Synced, Target
from pi_agent.state.host_config import HostTree
from pi_agent.state.scans import BYTES_AT_MOST, Notice
from pi_agent.state.tree_entries import Entry, Kind, Tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    pass

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
        directories.Trail(tree.descriptor, directories.peek) as there,
        directories.Trail(isolated, directories.ensure) as here,
        _progress(work) as step,
    ):
        with acting_as(agent):
            for name in work.remove:
                removal.remove_path(isolated, name)
            for name in work.make:
                here.open(name)
        try:
            copying.transfer(
                work.copy,
                Source(caller, lambda name: tree.open_along(there, name)),
                Target(agent, here.open, executables=True),
                BYTES_AT_MOST,
                copied.__setitem__,
                lambda name, error: notice(
                    f"{escaped(tree.path)}/{escaped(name)} was left out: {error.strerror or error}"
                ),
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
    from pi_agent.linux import progress_bar  # an ordinary launch has nothing to show

    with progress_bar.shown("copying your configuration", len(work.copy)) as step:
        yield step
