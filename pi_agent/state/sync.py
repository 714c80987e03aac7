"""Syncs the host user's Pi configuration into the isolated one, at every start.

It is read as the host user and written as the owner of the state. There are three kinds of names at the top of Pi's
directory. Those that Pi owns at run time are neither copied nor deleted; documents merge (documents.py); everything
else follows the host (file_sync.py). A user has only one sync at a time (flock(2)). A running Pi is respected through
its own locks.

`plan` takes no lock. `carry_out` plans again if another launch has synced meanwhile, so that no launch gets in the way
of another. If there is nothing to do, it takes no lock either.
"""

from __future__ import annotations

import fcntl
import os

from pi_agent.linux import directories, standard_error
from pi_agent.linux.identities import acting_as
from pi_agent.messages import notices, refusals
from pi_agent.python.collector import without_collector
from pi_agent.python.records import record
from pi_agent.python.standard import contextmanager
from pi_agent.state import documents, file_sync, settings_keys, sync_memory
from pi_agent.state.copying import Synced
from pi_agent.state.document_kinds import DOCUMENTS, SETTINGS, Kind
from pi_agent.state.documents import Document
from pi_agent.state.file_sync import AREAS, Enter, FilePlan, HostArea
from pi_agent.state.file_sync import Sides as Sides
from pi_agent.state.host_config import HostTree
from pi_agent.state.sync_memory import Recalled, SyncMemory
from pi_agent.state.user_state import PI_AGENT_DIRECTORY, State

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Final

_LOCK: Final = "lock"


@record
class HostSide:
    """What the host user has. documents: by name; areas: the other files, in the order of file_sync.AREAS. notices: for
    each place that the settings name in vain."""

    documents: Mapping[str, Document]
    areas: tuple[HostArea, ...]
    notices: tuple[str, ...] = ()


@record
class Plan:
    """What a sync does.

    recalled, host: what it is based on. files: one plan for each area; empty if files are left alone. closed: whether a
    part of the isolated tree is closed to its own owner, and was not scanned. seen: whether the isolated tree was
    scanned whole; if not, it is planned again when it is carried out.
    """

    sides: Sides
    recalled: Recalled
    host: HostSide
    files: tuple[FilePlan, ...]
    documents: tuple[documents.Plan, ...]
    closed: bool
    seen: bool

    @property
    def notices(self) -> tuple[str, ...]:
        """Notices for the user."""
        of_files = (notice for area in self.host.areas for notice in area.notices)
        return (*self.recalled.notices, *self.host.notices, *of_files)

    @property
    def changes_nothing(self) -> bool:
        """Whether everything, including our memory, is already as it should be."""
        if not self.seen or not all(document.changes_nothing for document in self.documents):
            return False
        if not all(area.changes_nothing for area in self.files):
            return False
        known = {document.kind.name: document.unchanged for document in self.documents}
        return SyncMemory(self.remembered_files({}), known) == self.recalled.memory

    def remembered_files(self, copied: Mapping[str, Synced]) -> dict[str, Sequence[int]]:
        """What to remember of files once they are copied: their signatures on both sides."""
        known: dict[str, Sequence[int]] = dict(self.recalled.memory.files)
        known.update((name, [*done.host, *done.isolated]) for name, done in copied.items())
        if not self.files:
            return known
        there = {
            plan.area.prefix + name
            for plan, host in zip(self.files, self.host.areas, strict=True)
            for name in host.entries
        }
        return {name: numbers for name, numbers in known.items() if name in there}


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
        with acting_as(sides.owner):
            peek = directories.Peek()
            isolated = None if home is None else _descended(home, peek)
            return _planned(_basis(sides, recalled, host), Inside(home, isolated), peek)
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
    owner = planned.sides.owner
    try:
        with _locked(state):
            with acting_as(owner):
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


@record
class Inside:
    """The agent's home and Pi's directory in it, open; None if they do not exist."""

    home: int | None
    pi: int | None

    @property
    def areas(self) -> tuple[int | None, ...]:
        """The directories of file_sync.AREAS."""
        return (self.pi, self.home)


def _host_side(sides: Sides, memory: SyncMemory) -> HostSide:
    if not sides.policy.sync_config_from_host:
        return HostSide({}, ())
    with acting_as(sides.caller):
        contents = {kind.name: _read_host(sides.host, kind, memory) for kind in DOCUMENTS}
        told = _without_strays(sides, contents)
        return HostSide(contents, file_sync.on_host(sides), told)


def _without_strays(sides: Sides, contents: dict[str, Document]) -> tuple[str, ...]:
    """Take from the settings the places that only the agent can have filled. Returns the notices."""
    said = contents[SETTINGS.name]
    if not settings_keys.name_places(said.value):
        return ()
    from pi_agent.state import settings_places

    kept, strays = settings_places.usable(said.value, sides.policy.state_dir)
    if strays:
        contents[SETTINGS.name] = Document(kept, said.text)
    path = SETTINGS.name if sides.host is None else f"{sides.host.path}/{SETTINGS.name}"
    return settings_places.notices_of(strays, path)


def _read_host(tree: HostTree | None, kind: Kind, memory: SyncMemory) -> Document:
    return Document({}, None) if tree is None else documents.read_host(tree, kind.name, memory.document(kind))


def _descended(home: int, peek: directories.Peek) -> int | None:
    try:
        return directories.descend(home, PI_AGENT_DIRECTORY, peek)
    except (FileNotFoundError, NotADirectoryError):
        return None


def _basis(sides: Sides, recalled: Recalled, host: HostSide) -> Plan:
    """What a plan starts from."""
    return Plan(sides, recalled, host, (), (), closed=False, seen=False)


def _planned(basis: Plan, inside: Inside, enter: Enter) -> Plan:
    """The plan with files and documents filled in. enter: see scans.scan_isolated. Must run as the owner."""
    sides, recalled, host = basis.sides, basis.recalled, basis.host
    known = tuple(
        documents.plan(
            inside.pi,
            kind,
            recalled.memory.document(kind),
            _host_document(host, kind, recalled.memory),
            sides.policy.settings if kind is SETTINGS else {},
        )
        for kind in DOCUMENTS
    )
    settings = next(each.after.written for each in known if each.kind.name == SETTINGS.name)
    areas = (AREAS[0].mirroring(_named(settings, sides.policy.state_dir)), *AREAS[1:])
    found = tuple(
        file_sync.plan(area, isolated, of_host, recalled.memory.files, enter)
        for area, isolated, of_host in zip(areas, inside.areas, host.areas, strict=False)
    )
    closed = isinstance(enter, directories.Peek) and enter.closed
    return Plan(sides, recalled, host, found, known, closed=closed, seen=inside.pi is not None and not closed)


def _named(settings: Mapping[str, object], home: str) -> frozenset[str]:
    """The names at the top of Pi's directory, below which the settings name a place."""
    if not settings_keys.name_places(settings):
        return frozenset()
    from pi_agent.state import settings_places

    return settings_places.mirrored(settings, home)


def _host_document(host: HostSide, kind: Kind, memory: SyncMemory) -> Document:
    """The host's document; if the host is not read, what it said the last time."""
    before = memory.document(kind)
    return host.documents.get(kind.name, Document(before.host, before.host_text))


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
    with acting_as(sides.owner):
        return _planned(_basis(sides, recalled, host), Inside(state.home, isolated), directories.enter)


def _carried_out(planned: Plan, state: State, isolated: int) -> Sequence[str]:
    sides = planned.sides
    copied, told = _copy_files(planned, Inside(state.home, isolated))
    with acting_as(sides.owner):
        written = {each.kind.name: _write(each, isolated, sides.policy.command_name) for each in planned.documents}
        known = {name: each.memory for name, each in written.items()}
        after = SyncMemory(planned.remembered_files(copied), known)
    # Written also if only the tree has changed: an older plan of another launch must see that it is old.
    if after != planned.recalled.memory or not all(each.changes_nothing for each in planned.files):
        sync_memory.remember(state.memory, after)
    return [*told, *(notice for each in written.values() for notice in each.notices)]


def _copy_files(planned: Plan, inside: Inside) -> tuple[Mapping[str, Synced], Sequence[str]]:
    """Make the files of all areas as planned. Returns what was copied, by name in sync's memory, and the notices."""
    copied: dict[str, Synced] = {}
    told: list[str] = []
    for each, of_host, isolated in zip(planned.files, planned.host.areas, inside.areas, strict=False):
        if each.changes_nothing or isolated is None:
            continue
        done = file_sync.carry_out(each, of_host, planned.sides, isolated)
        copied.update(done.copied)
        told += done.notices
    return copied, told


def _write(planned: documents.Plan, isolated: int, command: str) -> documents.Done:
    """Write a document, and say so if that has to wait for Pi. Must run as the owner."""
    name = planned.kind.name
    return documents.carry_out(planned, isolated, lambda: standard_error.say(command, notices.document_in_use(name)))
