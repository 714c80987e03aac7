"""Syncs the host user's Pi configuration into the isolated one, at every start.

It is read as the host user and written as the agent. There are three kinds of names at the top of Pi's directory. Those
that Pi owns at run time are neither copied nor deleted; two documents merge (documents.py); everything else follows the
host (mirror.py). A user has only one sync at a time (flock(2)). A running Pi is respected through its own locks.

`plan` takes no lock. `carry_out` plans again if another launch has synced meanwhile, so that no launch gets in the way
of another. If there is nothing to do, it takes no lock either.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from pi_agent.linux import directories, removal
from pi_agent.linux.identities import Identity, acting_as
from pi_agent.messages import notices, refusals
from pi_agent.policy.policy_file import Policy
from pi_agent.python.collector import without_collector
from pi_agent.python.records import record
from pi_agent.state import documents, mirror, scans, sync_memory
from pi_agent.state.copying import Synced
from pi_agent.state.documents import AUTH, SETTINGS, Document
from pi_agent.state.host_config import HostTree
from pi_agent.state.pi_files import is_mirrored, is_skipped
from pi_agent.state.sync_memory import Recalled, SyncMemory
from pi_agent.state.tree_entries import Entry
from pi_agent.state.user_state import PI_AGENT_DIRECTORY, State

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

_DOCUMENTS: Final = (SETTINGS, AUTH)
_LOCK: Final = "lock"
# Opens a directory by name in an open one.
_Enter = Callable[[int, str], int]


@record
class Sides:
    """The two sides of a sync. host: the host user's configuration, open; None if only the Nix settings are applied."""

    policy: Policy
    caller: Identity
    agent: Identity
    host: HostTree | None


@record
class HostSide:
    """What the host user has. documents: by name; entries: others, by path; notices: one for each entry left out."""

    documents: Mapping[str, Document]
    entries: Mapping[str, Entry]
    notices: tuple[str, ...]


@record
class FilePlan:
    """What is to happen to files. overgrown: top-level names to move aside first."""

    overgrown: tuple[str, ...]
    work: mirror.Plan

    @property
    def changes_nothing(self) -> bool:
        """Whether the isolated tree is already as it should be."""
        return not (self.overgrown or self.work.remove or self.work.make or self.work.copy)


@record
class Plan:
    """What a sync does.

    recalled, host: what it is based on. files: None if files are left alone. closed: whether a part of the isolated
    tree is closed to its own owner, and was not scanned. seen: whether the isolated tree was scanned whole; if not, it
    is planned again when it is carried out.
    """

    sides: Sides
    recalled: Recalled
    host: HostSide
    files: FilePlan | None
    documents: tuple[documents.Plan, ...]
    closed: bool
    seen: bool

    @property
    def notices(self) -> tuple[str, ...]:
        """Notices for the user."""
        return (*self.recalled.notices, *self.host.notices)

    @property
    def changes_nothing(self) -> bool:
        """Whether everything, including our memory, is already as it should be."""
        if not self.seen or not all(document.changes_nothing for document in self.documents):
            return False
        if self.files is not None and not self.files.changes_nothing:
            return False
        known = {document.kind.name: document.unchanged for document in self.documents}
        return SyncMemory(self.remembered_files({}), known) == self.recalled.memory

    def remembered_files(self, copied: Mapping[str, Synced]) -> dict[str, Sequence[int]]:
        """What to remember of files once they are copied: their signatures on both sides."""
        known: dict[str, Sequence[int]] = dict(self.recalled.memory.files)
        known.update((name, [*done.host, *done.isolated]) for name, done in copied.items())
        if self.files is None:
            return known
        return {name: numbers for name, numbers in known.items() if name in self.host.entries}


@without_collector()
def plan(sides: Sides, home: int | None, memory: int | None) -> Plan:
    """Plan a sync. Changes nothing, and takes no lock.

    home, memory: the directories of the user's state, open; None if they do not exist or cannot be entered. Raises
    Refusal: 65 for bad host data, 69 if the isolated state cannot be read.
    """
    isolated = None
    try:
        recalled = sync_memory.recall(memory)
        host = _host_side(sides, recalled.memory)
        with acting_as(sides.agent):
            peek = directories.Peek()
            isolated = None if home is None else _descended(home, peek)
            return _planned(_basis(sides, recalled, host), isolated, peek)
    except OSError as error:
        raise refusals.state_unreadable(PI_AGENT_DIRECTORY, error) from error
    finally:
        if isolated is not None:
            os.close(isolated)


@without_collector()
def carry_out(planned: Plan, state: State) -> Sequence[str]:
    """Carry out the plan, and return the notices that arose on the way.

    Raises Refusal: 69 if the isolated state cannot be written, 65 if the host's files have grown beyond the limit.
    """
    if planned.changes_nothing:
        return ()
    agent = planned.sides.agent
    try:
        with _locked(state):
            with acting_as(agent):
                isolated = directories.ensure_path(state.home, PI_AGENT_DIRECTORY)
            try:
                current = _current(planned, state, isolated)
                told = [notice for notice in current.notices if notice not in planned.notices]
                return [*told, *_carried_out(current, state, isolated)]
            finally:
                os.close(isolated)
    except OSError as error:
        # For a file that was opened by descriptor, the file name of the error is that number.
        where = error.filename if isinstance(error.filename, str) else PI_AGENT_DIRECTORY
        raise refusals.state_not_writable(where, error) from error


# -- planning


def _host_side(sides: Sides, memory: SyncMemory) -> HostSide:
    if sides.host is None:
        return HostSide({}, {}, ())
    with acting_as(sides.caller):
        contents = {kind.name: documents.read_host(sides.host, kind.name, memory.document(kind)) for kind in _DOCUMENTS}
        found = scans.scan_host(sides.host, is_skipped)
        return HostSide(contents, found.entries, found.notices)


def _descended(home: int, peek: directories.Peek) -> int | None:
    try:
        return directories.descend(home, PI_AGENT_DIRECTORY, peek)
    except (FileNotFoundError, NotADirectoryError):
        return None


def _basis(sides: Sides, recalled: Recalled, host: HostSide) -> Plan:
    """What a plan starts from."""
    return Plan(sides, recalled, host, None, (), closed=False, seen=False)


def _planned(basis: Plan, isolated: int | None, enter: _Enter) -> Plan:
    """The plan with files and documents filled in. isolated: the isolated directory, open; None if it does not exist.

    enter: see scans.scan_isolated. Must run as the agent.
    """
    sides, recalled, host = basis.sides, basis.recalled, basis.host
    known = tuple(
        documents.plan(
            isolated,
            kind,
            recalled.memory.document(kind),
            _host_document(host, kind, recalled.memory),
            sides.policy.settings if kind is SETTINGS else {},
        )
        for kind in _DOCUMENTS
    )
    found = None if sides.host is None else _file_plan(isolated, host, recalled.memory, enter)
    closed = isinstance(enter, directories.Peek) and enter.closed
    return Plan(sides, recalled, host, found, known, closed=closed, seen=isolated is not None and not closed)


def _host_document(host: HostSide, kind: documents.Kind, memory: SyncMemory) -> Document:
    """The host's document; if the host is not read, what it said the last time."""
    before = memory.document(kind)
    return host.documents.get(kind.name, Document(before.host, before.host_text))


def _file_plan(isolated: int | None, host: HostSide, memory: SyncMemory, enter: _Enter) -> FilePlan:
    """Plan the files. isolated: None if it does not exist yet. Must run as the agent."""
    known = {name for name in host.entries if "/" not in name} | {name.partition("/")[0] for name in memory.files}
    present, overgrown = ({}, ()) if isolated is None else _scanned(isolated, known, enter)
    return FilePlan(overgrown, mirror.plan(host.entries, present, memory.files, is_mirrored))


def _scanned(isolated: int, known: set[str], enter: _Enter) -> tuple[dict[str, Entry], tuple[str, ...]]:
    """Scan the part of the isolated tree that sync manages; the agent's own files there may have any size.

    Also returns the names that exceed the limits. They count as missing.
    """
    overgrown: list[str] = []

    def wanted(name: str) -> bool:
        return not is_skipped(name) and name not in overgrown and (name in known or is_mirrored(name))

    while True:
        try:
            return scans.scan_isolated(isolated, wanted, enter), tuple(overgrown)
        except scans.Overgrown as found:
            overgrown.append(found.name)


# -- carrying out


@contextmanager
def _locked(state: State) -> Iterator[None]:
    lock = os.open(_LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=state.memory)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _current(planned: Plan, state: State, isolated: int) -> Plan:
    """The plan, made again if another launch has synced since, or if not everything was scanned. The lock must be held.

    The later sync may know newer files of the host. The old plan would undo it.
    """
    sides = planned.sides
    still = sync_memory.is_current(planned.recalled, state.memory)
    if still and planned.seen:
        return planned
    recalled = planned.recalled if still else sync_memory.recall(state.memory)
    host = planned.host if still else _host_side(sides, recalled.memory)
    with acting_as(sides.agent):
        return _planned(_basis(sides, recalled, host), isolated, directories.enter)


def _carried_out(planned: Plan, state: State, isolated: int) -> Sequence[str]:
    sides, told = planned.sides, list[str]()
    copied: Mapping[str, Synced] = {}
    if planned.files is not None and sides.host is not None:
        with acting_as(sides.agent):
            told += _cleared(isolated, planned.files.overgrown)
        done = mirror.carry_out(planned.files.work, sides.host, sides.caller, sides.agent, isolated)
        copied, told = done.copied, [*told, *done.notices]
    with acting_as(sides.agent):
        written = {each.kind.name: documents.carry_out(each, isolated) for each in planned.documents}
        known = {name: each.memory for name, each in written.items()}
        after = SyncMemory(planned.remembered_files(copied), known)
    worked = planned.files is not None and not planned.files.changes_nothing
    # Written also if only the tree has changed: an older plan of another launch must see that it is old.
    if worked or after != planned.recalled.memory:
        sync_memory.remember(state.memory, after)
    return [*told, *(notice for each in written.values() for notice in each.notices)]


def _cleared(isolated: int, overgrown: Sequence[str]) -> Sequence[str]:
    """Move aside what exceeds the limits, and return the notices. Must run as the agent."""
    told = []
    for name in overgrown:
        with directories.suppress_gone():
            if name.startswith(directories.OURS):  # left by a killed sync, or named to look so
                removal.remove(isolated, name)
            else:
                told.append(notices.isolated_path_overgrown(name, directories.move_aside(isolated, name)))
    return told
