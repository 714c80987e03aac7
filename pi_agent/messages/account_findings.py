"""What `--sandbox-doctor` finds about the accounts of the agent and the groups of people. See findings.py."""

from __future__ import annotations

from typing import Final

from pi_agent.messages.finding import FAIL, OK, WARN, Finding
from pi_agent.messages.quoting import escaped

_REBUILD: Final = "Rebuild the system (nixos-rebuild switch)."


def owner(user: str, uid: int, group: str, gid: int) -> Finding:
    return Finding(OK, "user", f"{user} ({uid}) in group {group} ({gid}) owns the state")


def owner_is_root(user: str, group: str) -> Finding:
    return _wrong("user", user, group, f"{user} or {group} has the ID of root")


def agent(user: str, uid: int, group: str, gid: int) -> Finding:
    return Finding(OK, "agentUser", f"{user} ({uid}) in group {group} ({gid}) runs the agent")


def agent_owns_state(user: str) -> Finding:
    """user: runs the agent, and owns its state on disk."""
    return Finding(
        WARN,
        "agentUser",
        f"{user} runs the agent and owns its state on disk, and the directories above it",
        "An agent that gets hold of a descriptor from outside can then rearrange the state directory.\n"
        "Leave m3ta.pi-agent.hostUsers.<user>.agentUser unset to give it an account of its own.",
    )


def agent_shared(user: str, other: str) -> Finding:
    """other: the host user whose agent has the same user ID or primary group."""
    return Finding(
        FAIL,
        "agentUser",
        f"{user} has the user ID or the primary group of the agent of {escaped(other)}",
        "Each could reach what is the other's. Give each an account and a group with IDs of their own.",
    )


def primary_group(option: str, user: str, group: str) -> Finding:
    """option: the one that names the user."""
    return _wrong(option, user, group, f"the primary group of {user} is not {group}")


def _wrong(option: str, user: str, group: str, what: str) -> Finding:
    remedy = f"Make {user} a system user of its own, with the primary group {group}.\n{_REBUILD}"
    return Finding(FAIL, option, what, remedy)


def project_group(name: str, gid: int) -> Finding:
    return Finding(OK, "projectGroup", f"{escaped(name)} ({gid})")


def project_group_missing(name: str) -> Finding:
    remedy = "Create the group, or rebuild the system (nixos-rebuild switch)."
    return Finding(FAIL, "projectGroup", f"the group {escaped(name)} does not exist", remedy)


def project_group_without_caller(name: str, user: str) -> Finding:
    remedy = f"Add {escaped(name)} to users.users.{escaped(user)}.extraGroups, and log in again."
    return Finding(WARN, "projectGroup", f"the caller is not a member of {escaped(name)}", remedy)
