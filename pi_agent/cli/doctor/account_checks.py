"""Checks of the accounts of the agent, and of the group that it shares with people."""

from __future__ import annotations

import grp
import pwd
from collections.abc import Iterator
from contextlib import suppress

from pi_agent.cli.doctor.context import Context
from pi_agent.linux.identities import Identity
from pi_agent.messages import account_findings
from pi_agent.messages.finding import Finding
from pi_agent.policy import accounts
from pi_agent.policy.policy_file import Policy


def owner(context: Context) -> Iterator[Finding]:
    """The owner of the state exists, is not root, and has the policy's group. Raises Refusal (78) if it is missing."""
    policy = context.policy
    found = accounts.owner(policy)
    if found.uid == 0 or found.gid == 0:
        yield account_findings.owner_is_root(policy.user, policy.group)
    elif not _is_primary_group(found):
        yield account_findings.primary_group("user", policy.user, policy.group)
    else:
        yield account_findings.owner(policy.user, found.uid, policy.group, found.gid)


def agent(context: Context) -> Iterator[Finding]:
    """The account of the caller's agents exists, and nobody else has it.

    Raises Refusal (78) if it is missing, or has the ID of somebody else (accounts.of).
    """
    policy, caller = context.policy, context.user
    if caller is None:
        return
    found = accounts.of(policy, caller)
    group = policy.host_users[caller.name].agent_group
    if not _is_primary_group(found.agent):
        yield account_findings.primary_group("agentUser", found.agent.name, group)
    elif others := _with_the_same_ids(policy, caller.name, found.agent):
        yield from (account_findings.agent_shared(found.agent.name, other) for other in others)
    elif not found.apart:
        yield account_findings.agent_owns_state(found.agent.name)
    else:
        yield account_findings.agent(found.agent.name, found.agent.uid, group, found.agent.gid)


def _is_primary_group(account: Identity) -> bool:
    return pwd.getpwnam(account.name).pw_gid == account.gid


def _with_the_same_ids(policy: Policy, user: str, agent: Identity) -> list[str]:
    """The other host users whose agents have the user ID or the primary group of this agent."""
    found = []
    for name in policy.host_users.names:
        other = policy.host_users[name]
        with suppress(KeyError):  # missing accounts are reported to their own user
            same = pwd.getpwnam(other.agent_user).pw_uid == agent.uid
            if name != user and (same or grp.getgrnam(other.agent_group).gr_gid == agent.gid):
                found.append(name)
    return found


def project_group(context: Context) -> Iterator[Finding]:
    """The group exists, and the caller is a member."""
    name = context.policy.project_group
    if name is None:
        return
    try:
        entry = grp.getgrnam(name)
    except KeyError:
        yield account_findings.project_group_missing(name)
        return
    if context.user is not None and entry.gr_gid not in context.user.groups:
        yield account_findings.project_group_without_caller(name, context.user.name)
    else:
        yield account_findings.project_group(name, entry.gr_gid)
