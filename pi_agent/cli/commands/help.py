"""`--sandbox-help`: answered without the runner, for anybody."""

from __future__ import annotations

from pi_agent.cli import command_table
from pi_agent.cli.parsing import Invocation
from pi_agent.policy.policy_file import Policy


def on_host(policy: Policy, _invocation: Invocation) -> int:
    """Print the overview."""
    print(command_table.overview(policy.command_name))
    return 0
