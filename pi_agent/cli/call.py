"""A call of a sandbox command, as the runner handles it."""

from __future__ import annotations

from dataclasses import dataclass

from pi_agent.cli.parsing import Invocation
from pi_agent.linux.identities import Identity
from pi_agent.policy.policy_file import Policy


@dataclass(frozen=True, slots=True)
class Call:
    """caller: the host user who asks. agent: the isolated user. invocation: the command and its arguments."""

    policy: Policy
    caller: Identity
    agent: Identity
    invocation: Invocation
