"""Host configuration → isolated configuration, at every start.

Read as the host user, written as the agent. Three kinds of names at the top of Pi's directory: those Pi owns at run
time, which we neither copy nor delete; the two documents that merge (documents.py); everything else, which follows
the host (mirror.py). One launch of a user at a time (flock(2)); a running Pi is respected through its own locks.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any, Final

import orjson

from pi_agent import documents, files, mirror, paths, refusals, tree
from pi_agent.documents import AUTH, SETTINGS, Kind, Memory
from pi_agent.identity import Identity, acting_as
from pi_agent.mirror import Synced
from pi_agent.policy import Policy
from pi_agent.project import expanded
from pi_agent.refusals import shown
from pi_agent.state import PI_AGENT_DIRECTORY, State
from pi_agent.tree import HostTree, Notice

_MEMORY: Final = "memory.json"
_VERSION: Final = 1
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
    return name in _MIRRORED or name.endswith(".md") or name.startswith(files.OURS)


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


def synchronise(
    policy: Policy, caller: Identity, agent: Identity, host: HostTree | None, state: State, notice: Notice
) -> None:
    """Bring the isolated configuration in state up to date. host None: only what Nix says is applied.

    notice is called with a sentence for everything that was passed over. Raises Refusal: 65 for bad host data, in
    which case nothing isolated has changed; 69 when the isolated state cannot be written.
    """
    present_there: dict[str, tree.Entry] = {}
    contents: dict[str, Mapping[str, Any]] = {}
    if host is not None:
        with acting_as(caller):
            contents = {kind.name: documents.read_host(host, kind.name) for kind in _DOCUMENTS}
            present_there = tree.scan_host(host, _skipped, notice)
    try:
        with acting_as(agent):
            isolated = files.ensure_path(state.home, PI_AGENT_DIRECTORY)
        with _alone(agent, state):
            before = _recall(agent, state, notice)
            synced = dict(before.files)
            if host is not None:
                with acting_as(agent):
                    present = _scan(isolated, {*map(_top, present_there), *map(_top, synced)}, notice)
                work = mirror.plan(present_there, present, synced, mirrored)
                copied = mirror.carry_out(work, host, caller, agent, isolated, notice)
                synced = {name: entry for name, entry in (synced | copied).items() if name in present_there}
            with acting_as(agent):
                known = {kind.name: _update(isolated, kind, before, contents, policy, notice) for kind in _DOCUMENTS}
            _remember(agent, state, before, _Memory(synced, known))
    except OSError as error:
        # A file that was opened by number has that for its name.
        where = error.filename if isinstance(error.filename, str) else PI_AGENT_DIRECTORY
        raise refusals.state_not_writable(where, error) from error


def _top(name: str) -> str:
    return name.split("/", 1)[0]


def _scan(isolated: int, known: set[str], notice: Notice) -> dict[str, tree.Entry]:
    """The isolated tree as far as it concerns us: what is the agent's own there may be any size."""

    def wanted(name: str) -> bool:
        return not _skipped(name) and (name in known or mirrored(name))

    while True:
        try:
            return tree.scan_isolated(isolated, wanted)
        except tree.Overgrown as overgrown:
            if overgrown.name.startswith(files.OURS):  # what a killed sync of ours left, or pretends to be that
                files.remove(isolated, overgrown.name)
                continue
            kept = files.move_aside(isolated, overgrown.name)
            notice(f"the isolated {shown(overgrown.name)} had grown out of bounds; it was kept as {shown(kept)}")


def _update(
    isolated: int,
    kind: Kind,
    before: _Memory,
    contents: Mapping[str, Mapping[str, Any]],
    policy: Policy,
    notice: Notice,
) -> Memory:
    memory = before.documents.get(kind.name, Memory())
    host = contents.get(kind.name, memory.host)
    nix = policy.settings if kind is SETTINGS else {}
    return documents.update(isolated, kind, memory, host, nix, notice)


@contextmanager
def _alone(agent: Identity, state: State) -> Iterator[None]:
    with acting_as(agent):
        lock = os.open("lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=state.memory)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


class _Memory:
    """What sync remembers between launches."""

    def __init__(self, files: Mapping[str, Synced], known: Mapping[str, Memory]) -> None:
        self.files = files
        self.documents = known

    def to_json(self) -> bytes:
        # File names may hold any bytes, JSON may not: each byte becomes the character of the same number.
        files = {
            os.fsencode(name).decode("latin-1"): [*entry.host, *entry.isolated] for name, entry in self.files.items()
        }
        known = {name: documents.memory_to_json(memory) for name, memory in self.documents.items()}
        return orjson.dumps({"version": _VERSION, "files": files, "documents": known})

    @staticmethod
    def from_json(content: bytes) -> _Memory:
        value = orjson.loads(content)
        if value["version"] != _VERSION:
            raise ValueError(f"version {value['version']!r}")
        files = {}
        for name, numbers in value["files"].items():
            a, b, c, d, e, f, g, h = numbers
            files[os.fsdecode(name.encode("latin-1"))] = Synced((a, b, c, d), (e, f, g, h))
        return _Memory(files, {name: documents.memory_from_json(entry) for name, entry in value["documents"].items()})


def _recall(agent: Identity, state: State, notice: Notice) -> _Memory:
    """What was remembered. A memory that cannot be read is forgotten, with a notice: then everything is copied anew."""
    with acting_as(agent):
        try:
            descriptor = os.open(_MEMORY, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=state.memory)
        except FileNotFoundError:
            return _Memory({}, {})
        with open(descriptor, "rb") as file:
            content = file.read()
    try:
        return _Memory.from_json(content)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        notice(f"what sync remembered could not be read ({error}); the configuration is copied anew")
        return _Memory({}, {})


def _remember(agent: Identity, state: State, before: _Memory, after: _Memory) -> None:
    content = after.to_json()
    if content != before.to_json():
        with acting_as(agent):
            files.replace(state.memory, _MEMORY, content)
