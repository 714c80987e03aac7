"""The privileged half of pi-agent: one launch of Pi, from the caller's request to its exit status.

Runs as root, through the sudo rule of the module, on behalf of a listed host user who may give any arguments, any
environment and any working directory, and who owns files that are read here. It believes the frozen policy, what
sudo says of the caller's uid, and what the kernel says of open descriptors; nothing else. No argument widens what the
policy allows: all are Pi's, but for the commands of pi_agent/commands, and a first one that asks where the time goes.
When it returns, no unit, mount or file of the session is left.
"""

import os

from pi_agent.cli import command_line
from pi_agent.cli import entry_point
from pi_agent.linux import limits
from pi_agent.linux import standard_error
from pi_agent.messages.notices import self_running_files_changed
from pi_agent.policy import accounts
from pi_agent.policy import policy_file
from pi_agent.policy import project_roots
from pi_agent.sandbox import self_running
from pi_agent.session import audit
from pi_agent.session import configuration
from pi_agent.session import guard
from pi_agent.session import staging
from pi_agent.session import supervision
from pi_agent.state import user_state

POLICY = "@policy@"
COMMAND = "pi"


def main(lap: entry_point.Lap) -> int:
    """Launch Pi as the policy has it and return its exit status."""
    facts: dict[str, str] = {"POLICY": POLICY}
    try:
        return launch(facts, lap)
    except Exception as error:
        refusal = entry_point.as_refusal(error)
        audit.refused(facts, refusal.status, refusal.what)
        raise refusal from error


def launch(facts: dict[str, str], lap: entry_point.Lap) -> int:
    """One launch, step by step. facts: filled with what the journal is to know of it. lap: told of each step's end."""
    limits.drop_inherited()
    frozen = policy_file.load(POLICY)
    lap("policy")
    facts["HOST_USER"] = os.environ.get("SUDO_UID", "")
    user = accounts.through_sudo(frozen, os.environ)
    facts["HOST_USER"] = user.name
    agent = accounts.agent(frozen)
    lap("caller")
    arguments = command_line.arguments()
    command = [frozen.program, *frozen.extra_run_args, *command_line.for_pi(arguments)]
    if command_line.is_sandbox_command(arguments):
        from pi_agent.cli import dispatch
        from pi_agent.cli import parsing

        request = parsing.parse(arguments, frozen.command_name)
        if (answered := dispatch.as_root(dispatch.Call(frozen, user, agent, request))) is not None:
            return answered
        command = [frozen.shell]
    notices: list[str] = []

    # `pi --version` and `pi --help` concern no project and no configuration.
    chosen = None if command_line.needs_no_project(arguments) else project_roots.locate(frozen, user)
    if chosen is not None:
        facts["PROJECT_ROOT"] = chosen.root
    lap("project")
    own = user_state.open_state(frozen, agent, user.name)
    lap("state")
    from_host = chosen is not None
    configured = configuration.bring_up(frozen, user, agent, own, notices.append, from_host=from_host, lap=lap)

    with guard.opened(frozen.tools, user.name, user.uid) as opened:
        facts["UNIT"] = opened.unit
        lap("guard")
        start = staging.stage(frozen, opened, user, agent, own, chosen, configured, command, notices.append, lap)
        for notice in notices:
            standard_error.say(frozen.command_name, notice)
        watched = self_running.watch(frozen, user, chosen) if start.terminal and chosen is not None else None
        lap("provenance")
        status = supervision.conduct(frozen.tools, opened, start, lambda: audit.started(facts), lap)
        audit.ended(facts, str(status))
    lap("session end")
    if watched is not None and (changed := watched()):
        standard_error.say(frozen.command_name, self_running_files_changed(changed))
    lap("provenance")
    return status


if __name__ == "__main__":
    entry_point.exit_at_once(entry_point.run(COMMAND, main))
