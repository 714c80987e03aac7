"""The privileged half of pi-agent: one launch of Pi, from the caller's request to its exit status.

Runs as root, through the sudo rule of the module, on behalf of a listed host user who may give any arguments, any
environment and any working directory, and who owns files that are read here. It believes the frozen policy, what
sudo says of the caller's uid, and what the kernel says of open descriptors; nothing else. It has no options: every
argument is Pi's. When it returns, no unit, mount or file of the session is left.
"""

import os
import sys

from pi_agent import caller, configuration, identity, inherited, policy, program, project, session, staging, state, unit

POLICY = "@policy@"
COMMAND = "pi"


def main() -> int:
    """Launch Pi as the policy has it and return its exit status."""
    inherited.renounce()
    frozen = policy.load(POLICY)
    user = caller.through_sudo(frozen, os.environ)
    agent = identity.agent(frozen)
    arguments = program.arguments()
    notices: list[str] = []

    # `pi --version` and `pi --help` concern no project and no configuration.
    chosen = None if program.informational(arguments) else project.locate(frozen, user)
    own = state.open_state(frozen, agent, user.name)
    configured = configuration.bring_up(frozen, user, agent, own, notices.append, from_host=chosen is not None)

    with session.opened(frozen.tools, user.name, user.uid) as launch:
        start = staging.stage(frozen, launch, user, agent, own, chosen, configured, arguments, notices.append)
        for notice in notices:
            program.say(frozen.command_name, notice)
        return unit.conduct(frozen.tools, launch, start)


if __name__ == "__main__":
    sys.exit(program.run(COMMAND, main))
