"""Users as the kernel knows them, and acting as one of them.

The runner is root. Whatever lies under a directory that a host user or the agent can change is touched only inside
`acting_as(...)` that very identity: then the kernel grants what that user could have done anyway, and no more
(credentials(7), capabilities(7): leaving euid 0 clears the effective capabilities).
"""

from __future__ import annotations

import grp
import pwd

from pi_agent.linux.identities import Identity
from pi_agent.messages import refusals
from pi_agent.policy.policy_file import Policy


def agent(policy: Policy) -> Identity:
    """The isolated identity. Its home is the state directory. Raises Refusal (78) when the user or group is missing."""
    try:
        entry = pwd.getpwnam(policy.user)
    except KeyError as error:
        raise refusals.identity_missing("user", policy.user) from error
    gid = _gid(policy.group)
    groups = [gid] if policy.project_group is None else [gid, _gid(policy.project_group)]
    return Identity(policy.user, entry.pw_uid, gid, tuple(groups), policy.state_dir)


def _gid(name: str) -> int:
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError as error:
        raise refusals.identity_missing("group", name) from error
