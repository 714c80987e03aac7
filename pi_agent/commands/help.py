"""`--sandbox-help`: answered without the runner, and to anybody."""

from __future__ import annotations

from pi_agent.commands import table
from pi_agent.commands.parsing import Request
from pi_agent.policy import Policy


def on_host(policy: Policy, _request: Request) -> int:
    """Print the overview."""
    print(table.overview(policy.command_name))
    return 0
