"""A host configuration and an isolated state tree in a temporary directory, and sync between the two."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pi_agent.linux.identities import Identity
from pi_agent.policy.accounts import Accounts
from pi_agent.policy.policy_file import Policy
from pi_agent.state import host_config, sync, user_state
from pi_agent.state.sync import Plan, Sides
from pi_agent.state.user_state import State
from tests.support import people, policies
from tests.support.policies import USER


@dataclass(frozen=True)
class Bench:
    """host: alice's `.pi/agent`. tree: the agent's home. isolated: its `.pi/agent`. memory: sync's own directory."""

    policy: Policy
    accounts: Accounts
    state: State
    host: Path
    tree: Path
    isolated: Path
    memory: Path

    @property
    def caller(self) -> Identity:
        """alice."""
        return self.accounts.caller

    @property
    def owner(self) -> Identity:
        """The owner of the state."""
        return self.accounts.owner

    def plan(self) -> Plan:
        """The plan of a sync now."""
        host = host_config.open_host_config(self.policy, self.accounts.caller)
        sides = Sides(self.policy, self.accounts.caller, self.accounts.owner, host)
        try:
            return sync.plan(sides, self.state.home, self.state.memory)
        except BaseException:
            if host is not None:
                os.close(host.descriptor)
            raise

    def carry_out(self, planned: Plan) -> list[str]:
        """Carry out the plan once, and return the notices, those of the plan first."""
        try:
            return [*planned.notices, *sync.carry_out(planned, self.state)]
        finally:
            if planned.sides.host is not None:
                os.close(planned.sides.host.descriptor)

    def sync(self) -> list[str]:
        """Synchronise and return the notices."""
        return self.carry_out(self.plan())

    def launch(self) -> list[str]:
        """Look at the trees, plan, open them and synchronise, as a launch does. Returns the notices."""
        found = user_state.look(self.policy, self.accounts.owner, USER)
        host = host_config.open_host_config(self.policy, self.accounts.caller)
        sides = Sides(self.policy, self.accounts.caller, self.accounts.owner, host)
        planned = sync.plan(sides, found.home, found.memory)
        opened = user_state.prepare(self.policy, self.accounts.owner, USER, found)
        try:
            return [*planned.notices, *sync.carry_out(planned, opened)]
        finally:
            user_state.release(opened)
            if host is not None:
                os.close(host.descriptor)


def bench(tmp: Path, **overrides: Any) -> Bench:
    """A bench in tmp whose policy has the overrides. A second one in the same tmp continues with what is there."""
    host, top = tmp / "home/.pi/agent", tmp / "state"
    (tmp / "home").mkdir(exist_ok=True)
    if "hostUsers" not in overrides:
        host.mkdir(parents=True, exist_ok=True)
    top.mkdir(exist_ok=True)
    policy = policies.frozen(stateDir=str(top), **overrides)
    accounts = people.accounts_of(tmp / "home", top)
    state = user_state.prepare(policy, accounts.owner, USER, user_state.look(policy, accounts.owner, USER))
    tree = top / "users" / USER
    memory = tmp / "state-sync" / USER / "memory.json"
    return Bench(policy, accounts, state, host, tree, tree / ".pi/agent", memory)
