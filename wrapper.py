"""The `pi` command of the host: says early and kindly what the runner would refuse, then hands over by sudo.

Runs as the host user and protects nothing: the runner decides everything again.
"""

import os
import sys

from pi_agent import audit, caller, policy, program, project, refusals

POLICY = "@policy@"
RUNNER = "@runner@"
COMMAND = "pi"


def main(lap: program.Lap) -> int:
    """Check, then become `sudo runner`; returns only what the runner is not needed for."""
    try:
        frozen = policy.load(POLICY)
        lap("policy")
        arguments = program.arguments()
        needs_project = not program.informational(arguments)
        if program.about_the_sandbox(arguments):
            from pi_agent.commands import dispatch  # no launch of Pi waits for it

            answer = dispatch.on_host(frozen, arguments, RUNNER)
            if isinstance(answer, int):
                return answer
            arguments, needs_project = [*answer.arguments], answer.command.launches
        user = caller.by_uid(frozen, os.getuid())
        lap("caller")
        if needs_project:
            project.locate(frozen, user)
    except Exception as error:
        refusal = program.as_refusal(error)
        audit.refused({"POLICY": POLICY}, refusal.status, refusal.what)
        raise refusal from error
    sudo = frozen.tools.sudo
    try:
        os.execv(sudo, [sudo, "-n", "--", RUNNER, *arguments])
    except OSError as error:
        raise refusals.sudo_unavailable(sudo, error.strerror or str(error)) from error


if __name__ == "__main__":
    sys.exit(program.run(COMMAND, main))
