"""From all that is known of a launch to a session ready to start: files and mounts in place, the command composed."""

from __future__ import annotations

import os
from collections.abc import Sequence

from pi_agent import environment, mounts, sandbox, session
from pi_agent.configuration import Configured
from pi_agent.identity import Identity
from pi_agent.mounts import Bind
from pi_agent.policy import Policy
from pi_agent.project import Project
from pi_agent.session import Session, Start
from pi_agent.state import State, link_project
from pi_agent.tree import Notice


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
    terminal = session.on_terminal()
    system = sandbox.system()
    directory = agent.home if project is None else project.directory
    command = [*session.supervised(tools, terminal=terminal), policy.program, *policy.extra_run_args, *arguments]
    session.prepare(launch, [directory, *command], system.links)

    mounts.stage_state(tools, state.home, launch.state)
    binds = [Bind(launch.state, agent.home)]
    foreign = None
    if project is not None:
        link_project(state, agent, project.root)
        if not mounts.stage_project(tools, caller, agent, project, launch.project, notice):
            foreign = project.root
        binds.append(Bind(launch.project, project.root))

    described = environment.terminal(os.environ)
    layers = environment.layers(
        policy,
        agent,
        environment.surroundings(caller, agent),
        described,
        configured.host_env,
        configured.secrets,
        foreign,
    )
    env_files = session.prepare_environment(launch, layers)
    properties = sandbox.properties(policy, agent, system, launch.root, binds, env_files, launch.open_files)
    argv = session.command(tools, policy.launcher, launch, properties, terminal=terminal)
    return Start(argv, described, terminal)
