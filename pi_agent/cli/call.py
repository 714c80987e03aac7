"""A command of the sandbox on its way through the runner."""

from __future__ import annotations

from dataclasses import dataclass

from pi_agent.cli.parsing import Invocation
from pi_agent.linux.identities import Identity
from pi_agent.policy.policy_file import Policy


@dataclass(frozen=True, slots=True)
class Call:
    """caller: the host user who asks. agent: the isolated user. invocation: what was asked."""

    policy: Policy
    caller: Identity
    agent: Identity
    invocation: Invocation
