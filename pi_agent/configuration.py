"""Everything a session is configured with, gathered and brought up to date before it is staged."""

from __future__ import annotations

from collections.abc import Mapping

from pi_agent import environment, git_identity, program, sync
from pi_agent.identity import Identity, acting_as
from pi_agent.policy import Policy
from pi_agent.records import record
from pi_agent.state import State
from pi_agent.tree import HostTree, Notice


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
    secrets = environment.secrets(policy)
    if not from_host:
        return Gathered(None, {}, {}, Configured({}, secrets))
    with acting_as(caller):
        host = sync.host_tree(policy, caller)
        env_files = environment.host_files(host) if host is not None else {}
        committer = git_identity.of_host_user(caller.home) if policy.sync_config_from_host else {}
    host_env = {name: value for found in env_files.values() for name, value in found.items()}
    return Gathered(host, env_files, committer, Configured(host_env, secrets))


def bring_up(
    policy: Policy,
    caller: Identity,
    agent: Identity,
    state: State,
    notice: Notice,
    *,
    from_host: bool,
    lap: program.Lap = program.untimed,
) -> Configured:
    """Synchronise the isolated configuration and read what the environment is made of.

    from_host: False leaves the host user's configuration and the isolated one alone. Raises Refusal: 65 for bad host
    data, 69 for a state that cannot be written, 78 for an environment file that cannot be used.
    """
    gathered = gather(policy, caller, from_host=from_host)
    if from_host:
        sync.synchronise(policy, caller, agent, gathered.host, state, notice)
        lap("sync")
        environment.write_dotenv(policy, agent, state, gathered.configured.host_env)
        git_identity.write(agent, state, gathered.committer)
    lap("environment")
    return gathered.configured
