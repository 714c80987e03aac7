"""Checks of the agent's account and of the group that it shares with people."""

from __future__ import annotations

import grp
import pwd
from collections.abc import Iterator

from pi_agent.cli.doctor.context import Context
from pi_agent.messages import findings
from pi_agent.messages.finding import Finding
from pi_agent.policy import accounts


def agent_account(context: Context) -> Iterator[Finding]:
    """The agent's user exists, is nobody else, and has the policy's group. Raises Refusal (78) if it is missing."""
    policy = context.policy
    agent = accounts.agent(policy)
    if agent.uid == 0 or agent.gid == 0:
        yield findings.agent_is_root(policy.user, policy.group)
    elif context.user is not None and context.user.uid == agent.uid:
        yield findings.agent_is_caller(policy.user, policy.group)
    elif pwd.getpwnam(policy.user).pw_gid != agent.gid:
        yield findings.agent_primary_group(policy.user, policy.group)
    else:
        yield findings.agent_account(policy.user, agent.uid, policy.group, agent.gid)


def project_group(context: Context) -> Iterator[Finding]:
    """The group exists, and the caller is a member."""
    name = context.policy.project_group
    if name is None:
        return
    try:
        entry = grp.getgrnam(name)
    except KeyError:
        yield findings.project_group_missing(name)
        return
    if context.user is not None and entry.gr_gid not in context.user.groups:
        yield findings.project_group_without_caller(name, context.user.name)
    else:
        yield findings.project_group(name, entry.gr_gid)
