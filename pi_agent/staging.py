"""From all that is known of a launch to a session ready to start: files and mounts in place, the command composed."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from pi_agent import envfile, environment, mounts, refusals, sandbox, unit
from pi_agent.configuration import Configured
from pi_agent.identity import Identity
from pi_agent.mounts import Bind
from pi_agent.policy import Policy
from pi_agent.project import Project
from pi_agent.session import Session
from pi_agent.state import State, link_project
from pi_agent.tree import Notice
from pi_agent.unit import Start


def stage(
    policy: Policy,
    launch: Session,
    caller: Identity,
    agent: Identity,
    state: State,
    project: Project | None,
    configured: Configured,
    arguments: Sequence[str],
    notice: Notice,
) -> Start:
    """Fill the launch's staging directory and return how to start it.

    project None: nothing of the host is mounted and Pi starts in the agent's home. Raises Refusal (69).
    """
    tools = policy.tools
    terminal = unit.on_terminal()
    system = sandbox.system()
    directory = agent.home if project is None else project.directory
    command = [*unit.supervised(tools, terminal=terminal), policy.program, *policy.extra_run_args, *arguments]
    _prepare(launch, [policy.command_name, directory, *command], system.links)

    mounts.stage_state(tools, state.home, launch.state)
    mounts.stage_terminals(tools, launch.terminals)
    binds = [Bind(launch.state, agent.home), Bind(launch.terminals, "/dev/pts")]
    foreign = None
    if project is not None:
        link_project(state, agent, project.root)
        if not mounts.stage_project(tools, caller, agent, project, launch.project, notice):
            foreign = project.root
        binds.append(Bind(launch.project, project.root))

    described = environment.terminal(os.environ)
    variables = environment.variables(
        policy,
        agent,
        environment.surroundings(caller, agent),
        described,
        configured.host_env,
        configured.secrets,
        foreign,
    )
    _prepare_environment(launch, variables)
    properties = sandbox.properties(policy, agent, system, launch, binds)
    argv = unit.command(tools, policy.launcher, launch, properties, terminal=terminal)
    return Start(argv, {name: described[name] for name in ("TERM",) if name in described}, terminal)


def _prepare(session: Session, argv: Sequence[str], links: Sequence[tuple[str, str]]) -> None:
    """Make the staging directory's inside.

    argv: what launch.bash is to read. links: (path, target) of the symbolic links in the sandbox's
    root. Raises Refusal (69).
    """
    try:
        for directory in (*session.mounts, session.root):
            os.mkdir(directory, 0o755)
        for path, target in links:
            where = f"{session.root}{path}"
            os.makedirs(os.path.dirname(where), 0o755, exist_ok=True)
            os.symlink(target, where)
        _write(session.argv, b"".join(os.fsencode(word) + b"\0" for word in argv))
        os.mkfifo(session.started, 0o600)
    except OSError as error:
        raise refusals.staging_failed(session.directory, error.strerror or str(error)) from error


def _prepare_environment(session: Session, variables: Mapping[str, str]) -> None:
    """Write the session's env file. Raises Refusal (69)."""
    try:
        _write(session.environment, envfile.rendered(variables))
    except OSError as error:
        raise refusals.staging_failed(session.directory, error.strerror or str(error)) from error


def _write(path: str, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with open(descriptor, "wb") as file:
        file.write(content)
