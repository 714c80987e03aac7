"""The host user's own tree: `${stateDir}/users/<name>`, shown to the agent as `${stateDir}`.

All of `${stateDir}` belongs to the isolated identity, so root acts as that identity here and follows no link. Beside
the trees, in `${stateDir}/sync/<name>`, sync keeps what it must remember; no sandbox ever sees that directory, so no
agent can rewrite it, nor hold the lock on it: every launch shares that lock until it is over, and whoever resets the
state has it alone (flock(2)).
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager

from pi_agent.linux import directories
from pi_agent.linux.identities import Identity, acting_as
from pi_agent.messages import refusals
from pi_agent.policy.policy_file import Policy
from pi_agent.python.records import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

PI_DIRECTORY: Final = ".pi"

PI_AGENT_DIRECTORY: Final = ".pi/agent"

# What Pi and npm expect to find in their home.
_EXPECTED: Final = (
    f"{PI_AGENT_DIRECTORY}/sessions",
    ".npm",
    ".npm-global/bin",
    ".npm-global/lib",
    "projects",
)


@record
class State:
    """home: the tree the agent sees, open; memory: sync's own directory, open. Both belong to the agent identity."""

    home: int
    memory: int


def open_state(policy: Policy, agent: Identity, user: str) -> State:
    """Open the trees of `user`, made where missing, with the directories Pi and npm expect.

    Until this process and those it forks have ended, nobody can `claim` the state. Raises Refusal: 78 when the state
    directory is missing or not the agent's, 69 when it cannot be written or is being reset.
    """
    with acting_as(agent), _top(policy, agent) as top:
        memory = directories.ensure_path(top, f"sync/{user}")
        try:
            fcntl.flock(memory, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise refusals.state_being_reset() from error
        home = directories.ensure_path(top, f"users/{user}")
        for path in _EXPECTED:
            directories.make_path(home, path)
        return State(home, memory)


def existing(policy: Policy, agent: Identity, user: str) -> State | None:
    """The trees of `user` as they are, open; None when that user has no state yet. Raises Refusal as `open_state`."""
    with acting_as(agent), _top(policy, agent) as top:
        try:
            home = directories.enter_path(top, f"users/{user}")
        except OSError as error:
            if error.errno in directories.GONE:
                return None
            raise
        return State(home, directories.ensure_path(top, f"sync/{user}"))


def release(state: State) -> None:
    """Close both trees; what was claimed is anybody's again."""
    os.close(state.home)
    os.close(state.memory)


def claim(state: State) -> bool:
    """Whether no launch has this state. Then none will get it, until it is released or this process ends."""
    try:
        fcntl.flock(state.memory, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def forget(policy: Policy, agent: Identity, user: str) -> None:
    """Remove the emptied tree of `user`. Its memory stays, empty: launches wait for nobody on a lock that is gone."""
    with acting_as(agent), _top(policy, agent) as top:
        users = directories.enter(top, "users")
        try:
            os.rmdir(user, dir_fd=users)
        finally:
            os.close(users)


@contextmanager
def _top(policy: Policy, agent: Identity) -> Iterator[int]:
    """The state directory, open, for work as the agent; what goes wrong there is refused (69, 78)."""
    try:
        top = os.open(policy.state_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise refusals.state_missing(policy.state_dir, error.strerror or str(error)) from error
    try:
        if os.fstat(top).st_uid != agent.uid:
            raise refusals.state_missing(policy.state_dir, f"it does not belong to {agent.name}")
        yield top
    except OSError as error:
        raise refusals.state_not_writable(policy.state_dir, error) from error
    finally:
        os.close(top)


@record
class Seen:
    """The trees as they are before a launch. home, memory: as of State, None where they are not there yet.

    missing: what a launch makes first, relative to the state directory.
    """

    home: int | None
    memory: int | None
    missing: tuple[str, ...]


def look(policy: Policy, agent: Identity, user: str) -> Seen:
    """What `open_state` would open and make, changing nothing.

    Raises Refusal: 78 as it does, 69 when the state cannot be read.
    """
    with acting_as(agent), _top(policy, agent) as top:
        try:
            trees = [f"users/{user}", *(f"users/{user}/{path}" for path in _EXPECTED), f"sync/{user}"]
            found = {path: _peek(top, path) for path in trees}
        except OSError as error:
            raise refusals.state_unreadable(policy.state_dir, error) from error
        for path in trees[1:-1]:
            if (directory := found[path]) is not None:
                os.close(directory)
        missing = tuple(path for path, directory in found.items() if directory is None)
        return Seen(found[trees[0]], found[trees[-1]], missing)


def _peek(top: int, path: str) -> int | None:
    try:
        return directories.peek_path(top, path)
    except OSError as error:
        if error.errno in directories.GONE:
            return None
        raise


def link_project(state: State, agent: Identity, root: str) -> None:
    """Point `projects/<name>` in the agent's home at the mounted root, as a convenience inside.

    A name that something else holds is left alone. Raises Refusal (69) when the tree cannot be written.
    """
    with acting_as(agent):
        try:
            projects = directories.ensure_path(state.home, "projects")
            try:
                _link(projects, os.path.basename(root), root)
            finally:
                os.close(projects)
        except OSError as error:
            raise refusals.state_not_writable("projects", error) from error


def _link(projects: int, name: str, root: str) -> None:
    try:
        os.symlink(root, name, dir_fd=projects)
    except FileExistsError:
        try:
            current = os.readlink(name, dir_fd=projects)
        except OSError:  # not a link: the agent keeps something of its own there
            return
        if current != root:
            os.unlink(name, dir_fd=projects)
            os.symlink(root, name, dir_fd=projects)
