"""Everything a session is configured with, gathered and brought up to date before it is staged."""

from __future__ import annotations

from collections.abc import Mapping

from pi_agent.cli import entry_point
from pi_agent.environment import dotenv_file
from pi_agent.environment import env_files
from pi_agent.environment import git_identity
from pi_agent.linux.identities import Identity
from pi_agent.linux.identities import acting_as
from pi_agent.policy.policy_file import Policy
from pi_agent.python.records import record
from pi_agent.state import sync
from pi_agent.state.host_config import HostTree
from pi_agent.state.scans import Notice
from pi_agent.state.user_state import State


@record
class Configured:
    """What env files set: the host user's, and the module's `environmentFiles`."""

    host_env: Mapping[str, str]
    secrets: Mapping[str, str]


@record
class Gathered:
    """What was read for a launch before anything is written.

    host: the host user's configuration, open, None where none is synchronised. env_files: those of the host user, with
    what each sets. committer: for git inside.
    """

    host: HostTree | None
    env_files: Mapping[str, Mapping[str, str]]
    committer: Mapping[str, str]
    configured: Configured


def gather(policy: Policy, caller: Identity, *, from_host: bool) -> Gathered:
    """Read what the host user and the module say. Changes nothing.

    from_host: False leaves the host user's configuration alone. Raises Refusal: 65 for bad host data, 78 for an
    environment file that cannot be used.
    """
    secrets = env_files.secrets(policy)
    if not from_host:
        return Gathered(None, {}, {}, Configured({}, secrets))
    with acting_as(caller):
        host = sync.host_tree(policy, caller)
        found_files = env_files.host_files(host) if host is not None else {}
        committer = git_identity.of_host_user(caller.home) if policy.sync_config_from_host else {}
    host_env = {name: value for found in found_files.values() for name, value in found.items()}
    return Gathered(host, found_files, committer, Configured(host_env, secrets))


def bring_up(
    policy: Policy,
    caller: Identity,
    agent: Identity,
    state: State,
    notice: Notice,
    *,
    from_host: bool,
    lap: entry_point.Lap = entry_point.untimed,
) -> Configured:
    """Synchronise the isolated configuration and read what the environment is made of.

    from_host: False leaves the host user's configuration and the isolated one alone. Raises Refusal: 65 for bad host
    data, 69 for a state that cannot be written, 78 for an environment file that cannot be used.
    """
    gathered = gather(policy, caller, from_host=from_host)
    if from_host:
        sync.synchronise(policy, caller, agent, gathered.host, state, notice)
        lap("sync")
        dotenv_file.write(policy, agent, state, gathered.configured.host_env)
        git_identity.write(agent, state, gathered.committer)
    lap("environment")
    return gathered.configured
