"""The host user's own tree: `${stateDir}/users/<name>`, which the agent sees as `${stateDir}`.

All of `${stateDir}` belongs to the isolated identity, so root acts as that identity here and follows no link. Sync
keeps its memory beside the trees, in `${stateDir}/sync/<name>`. No sandbox shows that directory, so no agent can
rewrite it or hold its lock. Every launch shares that lock until it ends; a reset holds it alone (flock(2)).
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager

from pi_agent.linux import directories
from pi_agent.linux.identities import Identity, acting_as
from pi_agent.messages import reasons, refusals
from pi_agent.policy.policy_file import Policy
from pi_agent.python.records import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

PI_DIRECTORY: Final = ".pi"
PI_AGENT_DIRECTORY: Final = ".pi/agent"
# Directories that Pi and npm expect in their home.
_EXPECTED: Final = (
    f"{PI_AGENT_DIRECTORY}/sessions",
    ".npm",
    ".npm-global/bin",
    ".npm-global/lib",
    "projects",
)


@record
class State:
    """home: the tree that the agent sees, open; memory: sync's own directory, open. Both belong to the agent."""

    home: int
    memory: int


@record
class Found:
    """The trees as they are before a launch. home, memory: as in State, None if they do not exist or cannot be entered.

    closed: whether the home exists, but is closed to its own owner. make: what a launch makes, or makes accessible to
    its owner, relative to the state directory.
    """

    home: int | None
    memory: int | None
    closed: bool
    make: tuple[str, ...]


def look(policy: Policy, agent: Identity, user: str) -> Found:
    """Open the trees of `user`, as far as they exist. Changes nothing.

    Until this process and its children have ended, nobody else can `claim` an existing state. Raises Refusal: 78 if the
    state directory is missing or not the agent's, 69 if it cannot be read or is being reset.
    """
    with acting_as(agent), _top(policy, agent) as top:
        try:
            memory = _usable(top, f"sync/{user}")
            if memory is not None:
                _share(memory)
            home = _usable(top, f"users/{user}")
            closed = home is None and _exists(top, f"users/{user}")
            missing = [path for path in _EXPECTED if home is None or not _is_usable(home, path)]
        except OSError as error:
            raise refusals.state_unreadable(policy.state_dir, error) from error
    make = [f"users/{user}"] if home is None else []
    make += [f"users/{user}/{path}" for path in missing]
    return Found(home, memory, closed, (*make, *([f"sync/{user}"] if memory is None else [])))


def prepare(policy: Policy, agent: Identity, user: str, found: Found) -> State:
    """Make the missing parts of the trees of `user`, with the directories that Pi and npm expect, and return the trees.

    found: the result of `look`. Raises Refusal: 78 if the state directory is missing or not the agent's, 69 if it
    cannot be written or is being reset.
    """
    if found.home is not None and found.memory is not None and not found.make:
        return State(found.home, found.memory)
    with acting_as(agent), _top(policy, agent) as top:
        memory = found.memory
        if memory is None:
            memory = directories.ensure_path(top, f"sync/{user}")
            _share(memory)
        home = directories.ensure_path(top, f"users/{user}") if found.home is None else found.home
        for path in _EXPECTED:
            directories.make_path(home, path)
        return State(home, memory)


def _share(memory: int) -> None:
    """Keep others from claiming the state. Raises Refusal (69) if somebody has claimed it."""
    try:
        fcntl.flock(memory, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise refusals.state_being_reset() from error


def _usable(top: int, path: str) -> int | None:
    """The directory, open; None if it does not exist or is closed to its owner."""
    try:
        return directories.descend(top, path, directories.peek_usable)
    except OSError as error:
        if error.errno in (*directories.GONE, errno.EACCES):
            return None
        raise


def _exists(top: int, path: str) -> bool:
    try:
        os.stat(path, dir_fd=top, follow_symlinks=False)
    except OSError:
        return False
    return True


def _is_usable(top: int, path: str) -> bool:
    if (directory := _usable(top, path)) is None:
        return False
    os.close(directory)
    return True


def existing(policy: Policy, agent: Identity, user: str) -> State | None:
    """The existing trees of `user`, open; None if that user has no state yet. Raises Refusal as `prepare` does."""
    with acting_as(agent), _top(policy, agent) as top:
        try:
            home = directories.enter_path(top, f"users/{user}")
        except OSError as error:
            if error.errno in directories.GONE:
                return None
            raise
        return State(home, directories.ensure_path(top, f"sync/{user}"))


def release(state: State) -> None:
    """Close both trees, and end any claim on them."""
    os.close(state.home)
    os.close(state.memory)


def claim(state: State) -> bool:
    """Claim the state, so that no launch can use it until it is released or this process ends.

    Returns False if a launch uses it now.
    """
    try:
        fcntl.flock(state.memory, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def forget(policy: Policy, agent: Identity, user: str) -> None:
    """Remove the emptied tree of `user`. Its memory stays, empty, so that no launch locks a deleted directory."""
    with acting_as(agent), _top(policy, agent) as top:
        users = directories.enter(top, "users")
        try:
            os.rmdir(user, dir_fd=users)
        finally:
            os.close(users)


@contextmanager
def _top(policy: Policy, agent: Identity) -> Iterator[int]:
    """The state directory, open, for work as the agent. An error there becomes a Refusal (69, 78)."""
    try:
        top = os.open(policy.state_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise refusals.state_missing(policy.state_dir, error.strerror or str(error)) from error
    try:
        if os.fstat(top).st_uid != agent.uid:
            raise refusals.state_missing(policy.state_dir, reasons.NOT_OWNED_BY_AGENT.format(agent.name))
        yield top
    except OSError as error:
        raise refusals.state_not_writable(policy.state_dir, error) from error
    finally:
        os.close(top)
