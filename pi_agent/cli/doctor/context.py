"""What the checks look at."""

from __future__ import annotations

from dataclasses import dataclass

from pi_agent.linux.identities import Identity
from pi_agent.policy.policy_file import Policy


@dataclass(frozen=True, slots=True)
class Context:
    """user: the host user who asks, None for somebody who may not use pi-agent. as_root: whether we are root and see
    everything."""

    policy: Policy
    user: Identity | None
    as_root: bool
