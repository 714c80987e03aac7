"""The two accounts of a launch: the host user who asks for it, and the isolated user that the agent runs as.

sudo(8) passes the host user's uid to the runner in SUDO_UID; the wrapper uses its own uid. No other variable is
trusted: SUDO_USER is a name, and two names can share a uid.
"""

from __future__ import annotations

import grp
import pwd
from collections.abc import Mapping

from pi_agent.linux.identities import Identity, from_passwd
from pi_agent.messages import refusals
from pi_agent.policy.policy_file import Policy


def through_sudo(policy: Policy, environ: Mapping[str, str]) -> Identity:
    """The listed host user who called sudo. Raises Refusal (77) for root, a missing SUDO_UID, or a user not listed."""
    text = environ.get("SUDO_UID", "")
    if not (text.isascii() and text.isdigit()) or len(text) > len(str(2**32)):
        raise refusals.not_through_sudo()
    return by_uid(policy, int(text))


def by_uid(policy: Policy, uid: int) -> Identity:
    """The listed host user with this uid. Raises Refusal (77) for root or a user not listed."""
    if uid == 0:
        raise refusals.root_refused(policy.command_name)
    try:
        entry = pwd.getpwuid(uid)
    except KeyError as error:
        raise refusals.user_not_listed(str(uid)) from error
    if entry.pw_name not in policy.host_users:
        raise refusals.user_not_listed(entry.pw_name)
    return from_passwd(entry)


def agent(policy: Policy) -> Identity:
    """The isolated identity. Its home is the state directory. Raises Refusal (78) if the user or a group is missing."""
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
