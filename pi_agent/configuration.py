"""Everything a session is configured with, gathered and brought up to date before it is staged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pi_agent import environment, git_identity, sync
from pi_agent.identity import Identity, acting_as
from pi_agent.policy import Policy
from pi_agent.state import State
from pi_agent.tree import Notice


@dataclass(frozen=True, slots=True)
class Configured:
    """What env files set: the host user's, and the module's `environmentFiles`."""

    host_env: Mapping[str, str]
    secrets: Mapping[str, str]


def bring_up(
    policy: Policy, caller: Identity, agent: Identity, state: State, notice: Notice, *, from_host: bool
) -> Configured:
    """Synchronise the isolated configuration and read what the environment is made of.

    from_host: False leaves the host user's configuration and the isolated one alone. Raises Refusal: 65 for bad host
    data, 69 for a state that cannot be written, 78 for an environment file that cannot be used.
    """
    secrets = environment.secrets(policy)
    if not from_host:
        return Configured({}, secrets)
    with acting_as(caller):
        host = sync.host_tree(policy, caller)
        host_env = environment.host_env(host) if host is not None else {}
        committer = git_identity.of_host_user(caller.home) if policy.sync_config_from_host else {}
    sync.synchronise(policy, caller, agent, host, state, notice)
    environment.write_dotenv(policy, agent, state, host_env)
    git_identity.write(agent, state, committer)
    return Configured(host_env, secrets)
