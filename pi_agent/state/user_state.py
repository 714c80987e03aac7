"""The host user's own tree: `${stateDir}/users/<name>`, which the agent sees as `${stateDir}`.

All of `${stateDir}` belongs to one account, the owner, whichever account the agent has. Root acts as the owner here and
follows no link. sync's own directory is elsewhere, and root's: see sync_directory.py.
"""

from __future__ import annotations

import errno
import os

from pi_agent.linux import directories
from pi_agent.linux.identities import Identity, acting_as
from pi_agent.messages import installation_refusals, reasons, refusals
from pi_agent.policy.policy_file import Policy
from pi_agent.python.records import record
from pi_agent.python.standard import contextmanager
from pi_agent.state import sync_directory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
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
    """home: the tree that the agent sees, open; memory: sync's own directory, open."""

    home: int
    memory: int


@record
class Found:
    """The trees as they are before a launch. home, memory: as in State, None if they do not exist or cannot be entered.

    nearest: the home, or the state directory where there is none. closed: whether the home exists, but is closed to its
    own owner. make: what a launch makes, or makes accessible to its owner, relative to the state directory; sync's own
    directory by its path.
    """

    home: int | None
    memory: int | None
    nearest: int
    closed: bool
    make: tuple[str, ...]


def look(policy: Policy, owner: Identity, user: str) -> Found:
    """Open the trees of `user`, as far as they exist. Changes nothing.

    Until this process and its children have ended, nobody else can `claim` an existing state. Raises Refusal: 78 if the
    state directory is missing or not the owner's, or others could change sync's; 69 if it cannot be read or is being
    reset.
    """
    memory = sync_directory.look(policy, user)
    with acting_as(owner), _top(policy, owner) as top:
        try:
            home = _usable(top, f"users/{user}")
            closed = home is None and _exists(top, f"users/{user}")
            if closed:  # perhaps another launch has just made it
                home = _usable(top, f"users/{user}")
                closed = home is None
            missing = [path for path in _EXPECTED if home is None or not _is_usable(home, path)]
        except OSError as error:
            raise refusals.state_unreadable(policy.state_dir, error) from error
        nearest = os.dup(top) if home is None else home
    make = [f"users/{user}"] if home is None else []
    make += [f"users/{user}/{path}" for path in missing]
    make += [sync_directory.path(policy, user)] if memory is None else []
    return Found(home, memory, nearest, closed, tuple(make))


def close(found: Found) -> None:
    """Close the trees, and end this process's share in the lock."""
    for descriptor in {found.home, found.memory, found.nearest}:
        if descriptor is not None:
            os.close(descriptor)


def prepare(policy: Policy, owner: Identity, user: str, found: Found) -> State:
    """Make the missing parts of the trees of `user`, with the directories that Pi and npm expect, and return the trees.

    found: the result of `look`. Raises Refusal as `look` does, and 69 if the trees cannot be written.
    """
    if found.home is not None and found.memory is not None and not found.make:
        return State(found.home, found.memory)
    memory = sync_directory.ensure(policy, owner, user) if found.memory is None else found.memory
    with acting_as(owner), _top(policy, owner) as top:
        home = directories.ensure_path(top, f"users/{user}") if found.home is None else found.home
        for path in _EXPECTED:
            directories.make_path(home, path)
        return State(home, memory)


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


def existing(policy: Policy, owner: Identity, user: str) -> State | None:
    """The existing trees of `user`, open; None if that user has no state yet. Raises Refusal as `prepare` does."""
    with acting_as(owner), _top(policy, owner) as top:
        try:
            home = directories.enter_path(top, f"users/{user}")
        except OSError as error:
            if error.errno in directories.GONE:
                return None
            raise
    return State(home, sync_directory.ensure(policy, owner, user))


def release(state: State) -> None:
    """Close both trees, and end any claim on them."""
    os.close(state.home)
    os.close(state.memory)


def forget(policy: Policy, owner: Identity, user: str) -> None:
    """Remove the emptied tree of `user`. sync's directory stays, empty, so that no launch locks a deleted one."""
    with acting_as(owner), _top(policy, owner) as top:
        users = directories.enter(top, "users")
        try:
            os.rmdir(user, dir_fd=users)
        finally:
            os.close(users)


@contextmanager
def _top(policy: Policy, owner: Identity) -> Iterator[int]:
    """The state directory, open, for work as its owner. An error there becomes a Refusal (69, 78)."""
    try:
        top = os.open(policy.state_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise installation_refusals.state_missing(policy.state_dir, error.strerror or str(error)) from error
    try:
        if os.fstat(top).st_uid != owner.uid:
            raise installation_refusals.state_missing(policy.state_dir, reasons.NOT_OWNED_BY.format(owner.name))
        yield top
    except OSError as error:
        raise refusals.state_not_writable(policy.state_dir, error) from error
    finally:
        os.close(top)
