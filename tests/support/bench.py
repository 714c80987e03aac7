"""A host configuration and an isolated state tree in a temporary directory, and sync between the two."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from pi_agent.linux.identities import Identity
from pi_agent.policy.policy_file import Policy
from pi_agent.session import configuration
from pi_agent.session.configuration import Configured
from pi_agent.state import sync, user_state
from pi_agent.state.user_state import State
from tests.support import people, policies
from tests.support.policies import USER


@dataclass(frozen=True)
class Bench:
    """host: alice's `.pi/agent`. tree: the agent's home. isolated: its `.pi/agent`. memory: what sync remembers."""

    policy: Policy
    caller: Identity
    agent: Identity
    state: State
    host: Path
    tree: Path
    isolated: Path
    memory: Path

    def sync(self) -> list[str]:
        """Synchronise and return the notices."""
        notices: list[str] = []
        tree = sync.host_tree(self.policy, self.caller)
        sync.synchronise(self.policy, self.caller, self.agent, tree, self.state, notices.append)
        return notices

    def bring_up(self, *, from_host: bool = True) -> Configured:
        """Do all that precedes staging."""
        notices: list[str] = []
        return configuration.bring_up(
            self.policy, self.caller, self.agent, self.state, notices.append, from_host=from_host
        )


def bench(tmp: Path, **overrides: Any) -> Bench:
    """A bench in tmp whose policy has the overrides; made again in the same tmp, it goes on with what is there."""
    host, top = tmp / "home/.pi/agent", tmp / "state"
    (tmp / "home").mkdir(exist_ok=True)
    if "hostUsers" not in overrides:
        host.mkdir(parents=True, exist_ok=True)
    top.mkdir(exist_ok=True)
    policy = policies.frozen(stateDir=str(top), **overrides)
    caller, agent = people.alice(tmp / "home"), people.agent(top)
    opened = user_state.open_state(policy, agent, USER)
    tree = top / "users" / USER
    return Bench(policy, caller, agent, opened, host, tree, tree / ".pi/agent", top / "sync" / USER / "memory.json")


def write(path: Path, content: object) -> None:
    """Write text, bytes, or anything else as JSON, making the directories above."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(
        content
        if isinstance(content, bytes)
        else content.encode()
        if isinstance(content, str)
        else orjson.dumps(content)
    )


def read(path: Path) -> Any:
    """The JSON in a file."""
    return orjson.loads(path.read_bytes())


def snapshot(top: Path) -> dict[str, object]:
    """Everything below top by relative name: a file's bytes, a link's target, or None for a directory."""
    found: dict[str, object] = {}
    for folder, directories, files in os.walk(top):
        for name in [*directories, *files]:
            path = os.path.join(folder, name)
            relative = os.path.relpath(path, top)
            if os.path.islink(path):
                found[relative] = f"-> {os.readlink(path)}"
            elif os.path.isdir(path):
                found[relative] = None
            elif os.path.isfile(path):
                with open(path, "rb") as file:
                    found[relative] = file.read()
            else:
                found[relative] = "special"
    return found
