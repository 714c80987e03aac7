"""The `pi` command of the host: reports early what the runner would refuse, then hands over through sudo.

Runs as the host user and enforces nothing: the runner checks everything again.
"""

import sys

from pi_agent.cli import shortcut

POLICY = "@policy@"
RUNNER = "@runner@"
COMMAND = "pi"


def main() -> int:
    """Become `sudo runner`, or return the exit status."""
    shortcut.take(POLICY, RUNNER)
    from pi_agent.cli import entry_point, handover  # a plain launch of Pi is gone by now

    return entry_point.run(COMMAND, lambda: handover.check_and_become(POLICY, RUNNER))


if __name__ == "__main__":
    sys.exit(main())
