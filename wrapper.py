"""The `pi` command of the host: reports early what the runner would refuse, then hands over through sudo.

Runs as the host user and enforces nothing: the runner checks everything again.
"""

import os
import sys

from pi_agent.cli import command_line, entry_point
from pi_agent.linux import timing
from pi_agent.messages import refusals
from pi_agent.policy import accounts, policy_file, project_roots
from pi_agent.session import audit

POLICY = "@policy@"
RUNNER = "@runner@"
COMMAND = "pi"


def main() -> int:
    """Check, then become `sudo runner`. Returns only if the runner is not needed."""
    try:
        policy = policy_file.load(POLICY)
        timing.mark("policy")
        arguments = command_line.arguments()
        needs_project = not command_line.needs_no_project(arguments, policy.extra_run_args)
        if command_line.is_sandbox_command(arguments):
            from pi_agent.cli import dispatch  # not imported by a launch of Pi

            answer = dispatch.on_host(policy, arguments, RUNNER)
            if isinstance(answer, int):
                return answer
            arguments, needs_project = [*answer.arguments], answer.command.launches
        caller = accounts.by_uid(policy, os.getuid())
        timing.mark("caller")
        if needs_project:
            project_roots.locate(policy, caller)
    except Exception as error:
        refusal = entry_point.as_refusal(error)
        audit.refused(audit.Known(POLICY), refusal.status, refusal.what)
        raise refusal from error
    sudo = policy.tools.sudo
    try:
        os.execv(sudo, [sudo, "-n", "--", RUNNER, *arguments])
    except OSError as error:
        raise refusals.sudo_unavailable(sudo, error.strerror or str(error)) from error


if __name__ == "__main__":
    sys.exit(entry_point.run(COMMAND, main))
