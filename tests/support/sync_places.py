"""State directories with sync's directories beside them, for tests."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import pytest

from pi_agent.linux.identities import Identity
from pi_agent.messages.refusal import Refusal
from pi_agent.policy.policy_file import Policy
from pi_agent.state import sync_directory
from tests.support import people, trust
from tests.support.limits import open_descriptors
from tests.support.policies import USER, frozen
from tests.support.trees import put

MEMORY: Final = "memory.json"


class Place:
    """A state directory, and sync's directories beside it."""

    def __init__(self, top: Path, owner: Identity | None = None) -> None:
        self.state = top / "state"
        self.state.mkdir()
        self.policy: Policy = frozen(stateDir=str(self.state))
        self.owner = people.owner(self.state) if owner is None else owner
        self.all = top / "state-sync"
        self.own = self.all / USER
        self.earlier = self.state / "sync" / USER

    def look(self) -> int | None:
        """Open alice's directory."""
        return sync_directory.look(self.policy, USER)

    def ensure(self, user: str = USER) -> int:
        """Open a user's directory, or make it."""
        return sync_directory.ensure(self.policy, self.owner, user)

    def make(self, user: str = USER) -> None:
        """Make a user's directory."""
        os.close(self.ensure(user))

    def remember_earlier(self, user: str = USER) -> None:
        """What an earlier version left."""
        put(self.state / "sync" / user / MEMORY, f"what {user} had")
        put(self.state / "sync" / user / "lock", "")


@contextmanager
def of_root(monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """A place that only root can change, as it is judged; the state in it belongs to somebody else."""
    trust.judge_directories(monkeypatch)
    with TemporaryDirectory(prefix="pi-agent-unit-", dir="/run") as name:
        made = Place(Path(name), Identity("pi-agent", 65534, 65534, (65534,), f"{name}/state"))
        made.state.parent.chmod(0o755)
        os.chown(made.state, 65534, 65534)
        yield made


def refused(act: Callable[[], object], status: int) -> str:
    """What the refusal says. Nothing stays open."""
    before = open_descriptors()
    with pytest.raises(Refusal) as caught:
        act()
    assert caught.value.status == status
    assert open_descriptors() == before
    return caught.value.what


def secret(place: Place) -> Path:
    """A directory beside the state with a memory of its own, which nothing may be taken from."""
    made = place.state.parent / "secret"
    put(made / MEMORY, "secret")
    return made
