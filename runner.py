"""The privileged half of pi-agent: one launch of Pi, from the caller's request to its exit status.

Runs as root, through the sudo rule of the module, on behalf of a listed host user who may give any arguments, any
environment and any working directory, and who owns files that are read here. It believes the frozen policy, what
sudo says of the caller's uid, and what the kernel says of open descriptors; nothing else. It has no options: every
argument is Pi's. When it returns, no unit, mount or file of the session is left.
"""

import os
import sys

from pi_agent import (
    caller,
    environment,
    identity,
    mounts,
    policy,
    program,
    project,
    refusals,
    sandbox,
    session,
    state,
    sync,
)

POLICY = "@policy@"
COMMAND = "pi"


def main() -> int:
    """Launch Pi as the policy has it and return its exit status."""
    os.umask(0o022)
    frozen = policy.load(POLICY)
    user = caller.through_sudo(frozen, os.environ)
    agent = identity.agent(frozen)
    arguments = program.arguments()
    notices: list[str] = []

    # `pi --version` and `pi --help` concern no project and no configuration.
    alone = program.informational(arguments)
    chosen = None if alone else project.locate(frozen, user)

    own = state.open_state(frozen, agent, user.name)
    host_env: list[bytes] = []
    if not alone:
        with identity.acting_as(user):
            host = sync.host_tree(frozen, user)
            host_env = environment.host_env(host) if host is not None else []
        sync.synchronise(frozen, user, agent, host, own, notices.append)
        environment.write_dotenv(frozen, agent, own, host_env)
    secrets = environment.secrets(frozen)

    with session.opened(frozen.tools, user.name) as launch:
        terminal = session.on_terminal()
        command = [*session.supervised(frozen.tools, terminal=terminal), frozen.program]
        directory = agent.home if chosen is None else chosen.directory
        system = sandbox.system()
        session.prepare(launch, [directory, *command, *frozen.extra_run_args, *arguments], system.links)
        binds = [mounts.Bind(launch.state, agent.home)]
        mounts.stage_state(frozen.tools, own.home, launch.state)
        foreign = None
        if chosen is not None:
            state.link_project(own, agent, chosen.root)
            binds.append(mounts.Bind(launch.project, chosen.root))
            if not mounts.stage_project(frozen.tools, user, agent, chosen, launch.project, notices.append):
                foreign = chosen.root
        layers = environment.layers(
            frozen,
            agent,
            environment.surroundings(user, agent),
            environment.terminal(os.environ),
            host_env,
            secrets,
            foreign,
        )
        env_files = session.prepare_environment(launch, layers)
        unit = sandbox.properties(frozen, agent, system, launch.root, binds, env_files, launch.open_files)
        for notice in notices:
            program.say(frozen.command_name, notice)
        argv = session.command(frozen.tools, frozen.launcher, launch, unit, terminal=terminal)
        return session.conduct(
            frozen.tools, launch, argv, environment.terminal(os.environ), terminal=terminal
        )


if __name__ == "__main__":
    sys.exit(program.run(COMMAND, main))
