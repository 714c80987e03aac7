"""Host configuration → isolated configuration, at every start.

Read as the host user, written as the agent. Three kinds of names at the top of Pi's directory: those Pi owns at run
time, which we neither copy nor delete; the two documents that merge (documents.py); everything else, which follows
the host (mirror.py). One launch of a user at a time (flock(2)); a running Pi is respected through its own locks.
"""

from __future__ import annotations

import errno
import fcntl
import gc
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache

from pi_agent.linux import directories, paths, removal
from pi_agent.linux.identities import Identity, acting_as
from pi_agent.messages import refusals
from pi_agent.messages.quoting import escaped
from pi_agent.policy.policy_file import Policy
from pi_agent.policy.project_roots import expanded
from pi_agent.python.records import record
from pi_agent.state import documents, mirror, scans, sync_memory, tree_entries
from pi_agent.state.documents import AUTH, SETTINGS, Document, Kind, Memory
from pi_agent.state.host_config import HostTree
from pi_agent.state.scans import Notice
from pi_agent.state.sync_memory import SyncMemory
from pi_agent.state.user_state import PI_AGENT_DIRECTORY, State

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final

_Enter = Callable[[int, str], int]

_DOCUMENTS: Final = (SETTINGS, AUTH)

_MERGED: Final = frozenset(kind.name for kind in _DOCUMENTS)

_PIS_OWN: Final = frozenset(
    {"sessions", "bin", "npm", "git", "trust.json", "models-store.json", "pi-debug.log", "pi-crash.log"}
)

# environment.py takes care of this one.
_ELSEWHERE: Final = frozenset({".env"})

_MIRRORED: Final = frozenset({"extensions", "skills", "prompts", "themes", "keybindings.json", "models.json"})


def owned_by_pi(name: str) -> bool:
    """Whether Pi owns this top-level name at run time."""
    return name in _PIS_OWN or name.endswith(".lock")


def mirrored(name: str) -> bool:
    """Whether this top-level name holds code or instructions, and so must be exactly what the host has.

    So must what a killed sync of ours left: nothing.
    """
    return name in _MIRRORED or name.endswith(".md") or name.startswith(directories.OURS)


def _skipped(name: str) -> bool:
    return name in _MERGED or name in _ELSEWHERE or owned_by_pi(name)


def host_tree(policy: Policy, caller: Identity) -> HostTree | None:
    """The caller's configuration directory, open; None when sync is off or there is none.

    Must run as the caller. Raises Refusal (65) when it is no directory or out of reach.
    """
    if not policy.sync_config_from_host:
        return None
    entry = policy.host_users[caller.name]
    path = os.path.normpath(os.path.join(caller.home, expanded(entry.config_path, caller.home)))

    @cache
    def roots() -> tuple[str, ...]:
        return tuple(os.path.realpath(expanded(root, caller.home)) for root in entry.project_roots)

    whole = HostTree(path, os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC), roots)
    try:
        descriptor = whole.look(path)
    except FileNotFoundError:
        return None
    except NotADirectoryError as error:
        raise refusals.config_not_a_directory(path) from error
    except OSError as error:
        raise refusals.config_unreadable(path, error.strerror or str(error)) from error
    finally:
        os.close(whole.descriptor)
    try:
        os.close(paths.reopen(descriptor, os.O_RDONLY | os.O_DIRECTORY))
    except NotADirectoryError as error:
        os.close(descriptor)
        raise refusals.config_not_a_directory(path) from error
    except OSError as error:
        os.close(descriptor)
        raise refusals.config_unreadable(path, error.strerror or str(error)) from error
    return HostTree(path, descriptor, roots)


@contextmanager
def _uncollected() -> Iterator[None]:
    """Without the collector of cycles: it would look through all that scans find, again and again, for none."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@_uncollected()
def synchronise(
    policy: Policy, caller: Identity, agent: Identity, host: HostTree | None, state: State, notice: Notice
) -> None:
    """Bring the isolated configuration in state up to date. host None: only what Nix says is applied.

    notice is called with a sentence for everything that was passed over. Raises Refusal: 65 for bad host data, in
    which case nothing isolated has changed; 69 when the isolated state cannot be written.
    """
    try:
        with _alone(agent, state):
            before = sync_memory.recall(agent, state.memory, notice)
            there = _there(caller, host, before, notice)
            with acting_as(agent):
                isolated = directories.ensure_path(state.home, PI_AGENT_DIRECTORY)
            synced = dict(before.files)
            if host is not None:
                with acting_as(agent):
                    plan = _plan(isolated, there, before)
                    _clear(isolated, plan.overgrown, notice)
                copied = mirror.carry_out(plan.work, host, caller, agent, isolated, notice)
                synced |= {name: [*done.host, *done.isolated] for name, done in copied.items()}
                synced = {name: numbers for name, numbers in synced.items() if name in there.present}
            with acting_as(agent):
                known = {
                    kind.name: documents.update(isolated, kind, *_sides(kind, before, there, policy), notice)
                    for kind in _DOCUMENTS
                }
            sync_memory.remember(agent, state, before, SyncMemory(synced, known))
    except OSError as error:
        # A file that was opened by number has that for its name.
        where = error.filename if isinstance(error.filename, str) else PI_AGENT_DIRECTORY
        raise refusals.state_not_writable(where, error) from error


@record
class Files:
    """What is to happen to files. overgrown: top-level names that are moved aside, or removed, before work is done."""

    overgrown: tuple[str, ...]
    work: mirror.Plan


@record
class Plan:
    """What `synchronise` would do: to files, None where they are left alone, and to each document."""

    files: Files | None
    documents: tuple[documents.Plan, ...]


@_uncollected()
def look(
    policy: Policy,
    caller: Identity,
    agent: Identity,
    host: HostTree | None,
    home: int | None,
    memory: int | None,
    notice: Notice,
) -> Plan:
    """What `synchronise` would do now, changing nothing, not even a lock.

    home, memory: those of the state, open; None where there are none yet. Of an isolated directory that is closed to
    its own owner, what is in it counts as missing. Raises Refusal: 65 as `synchronise` does, 69 when the isolated state
    cannot be read.
    """
    isolated = None
    try:
        before = SyncMemory({}, {}) if memory is None else sync_memory.recall(agent, memory, notice)
        there = _there(caller, host, before, notice)
        with acting_as(agent):
            if home is not None:
                with suppress(FileNotFoundError, NotADirectoryError):
                    isolated = directories.descend(home, PI_AGENT_DIRECTORY, _peek)
            known = [documents.look(isolated, kind, *_sides(kind, before, there, policy)) for kind in _DOCUMENTS]
            return Plan(None if host is None else _plan(isolated, there, before, _peek), tuple(known))
    except OSError as error:
        raise refusals.state_unreadable(PI_AGENT_DIRECTORY, error) from error
    finally:
        if isolated is not None:
            os.close(isolated)


def _peek(parent: int, name: str) -> int:
    try:
        return directories.peek(parent, name)
    except PermissionError as error:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), name) from error


@record
class _There:
    """The host's side: its documents, and its other files and directories."""

    contents: Mapping[str, Document]
    present: Mapping[str, tree_entries.Entry]


def _there(caller: Identity, host: HostTree | None, before: SyncMemory, notice: Notice) -> _There:
    if host is None:
        return _There({}, {})
    with acting_as(caller):
        contents = {kind.name: documents.read_host(host, kind.name, before.document(kind)) for kind in _DOCUMENTS}
        return _There(contents, scans.scan_host(host, _skipped, notice))


def _plan(isolated: int | None, there: _There, before: SyncMemory, enter: _Enter | None = None) -> Files:
    """What is to happen to files. isolated None: nothing is there yet. enter: see tree.scan_isolated. Must run as the
    agent."""
    known = {name for name in there.present if "/" not in name} | {name.partition("/")[0] for name in before.files}
    present, overgrown = ({}, ()) if isolated is None else _scan(isolated, known, enter)
    return Files(overgrown, mirror.plan(there.present, present, before.files, mirrored))


def _scan(
    isolated: int, known: set[str], enter: _Enter | None
) -> tuple[dict[str, tree_entries.Entry], tuple[str, ...]]:
    """The isolated tree as far as it concerns us: what is the agent's own there may be any size. And the names that
    are out of bounds, which count as missing."""
    overgrown: list[str] = []

    def wanted(name: str) -> bool:
        return not _skipped(name) and name not in overgrown and (name in known or mirrored(name))

    while True:
        try:
            return scans.scan_isolated(isolated, wanted, enter), tuple(overgrown)
        except scans.Overgrown as found:
            overgrown.append(found.name)


def _clear(isolated: int, overgrown: Iterable[str], notice: Notice) -> None:
    """Take what is out of bounds out of the way. Must run as the agent."""
    for name in overgrown:
        if name.startswith(directories.OURS):  # what a killed sync of ours left, or pretends to be that
            removal.remove(isolated, name)
            continue
        kept = directories.move_aside(isolated, name)
        notice(f"the isolated {escaped(name)} had grown out of bounds; it was kept as {escaped(kept)}")


def _sides(kind: Kind, before: SyncMemory, there: _There, policy: Policy) -> tuple[Memory, Document, Mapping[str, Any]]:
    """What a document is made of: our memory of it, what the host says and what Nix says."""
    memory = before.document(kind)
    host = there.contents.get(kind.name, Document(memory.host, memory.host_text))
    return memory, host, policy.settings if kind is SETTINGS else {}


@contextmanager
def _alone(agent: Identity, state: State) -> Iterator[None]:
    with acting_as(agent):
        lock = os.open("lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=state.memory)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)
