"""A call of a sandbox command, as the runner handles it."""

from __future__ import annotations

from dataclasses import dataclass

from pi_agent.cli.parsing import Invocation
from pi_agent.policy.accounts import Accounts
from pi_agent.policy.policy_file import Policy


@dataclass(frozen=True, slots=True)
class Call:
    """accounts: of the host user who asks. invocation: the command and its arguments."""

    policy: Policy
    accounts: Accounts
    invocation: Invocation
