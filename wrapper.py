"""The `pi` command of the host: says early and kindly what the runner would refuse, then hands over by sudo.

Runs as the host user and protects nothing: the runner decides everything again.
"""

import os
import sys

from pi_agent import audit, caller, policy, program, project, refusals
from pi_agent.refusals import Refusal

POLICY = "@policy@"
RUNNER = "@runner@"
COMMAND = "pi"


def main() -> int:
    """Check, then become `sudo runner`; returns only by raising a Refusal."""
    try:
        frozen = policy.load(POLICY)
        user = caller.by_uid(frozen, os.getuid())
        arguments = program.arguments()
        if not program.informational(arguments):
            project.locate(frozen, user)
    except Refusal as refusal:
        audit.refused({"POLICY": POLICY}, refusal.status, refusal.what)
        raise
    sudo = frozen.tools.sudo
    try:
        os.execv(sudo, [sudo, "-n", "--", RUNNER, *arguments])
    except OSError as error:
        raise refusals.sudo_unavailable(sudo, error.strerror or str(error)) from error


if __name__ == "__main__":
    sys.exit(program.run(COMMAND, main))
