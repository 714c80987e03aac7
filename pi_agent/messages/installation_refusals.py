"""The refusals of a broken installation: what an administrator has to put right. See refusals.py."""

from __future__ import annotations

from pi_agent.messages.quoting import escaped
from pi_agent.messages.refusal import EX_CONFIG, Refusal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Final

_REBUILD: Final = "Rebuild the system (nixos-rebuild switch) and try again."


def policy_unreadable(path: str, why: str) -> Refusal:
    return Refusal(
        EX_CONFIG,
        f"the frozen policy {escaped(path)} cannot be used: {escaped(why)}",
        f"The installation is broken. {_REBUILD}",
    )


def identities_missing(missing: Sequence[tuple[str, str]]) -> Refusal:
    """missing: `user` or `group`, and its name, for each."""
    listed = ", ".join(f"the {kind} «{escaped(name)}»" for kind, name in missing)
    return Refusal(
        EX_CONFIG,
        f"accounts of the agent do not exist: {listed}",
        "Rebuild the system (nixos-rebuild switch), or create them yourself if m3ta.pi-agent.createUser is false.",
    )


def agent_shares_id(agent: str, whose: str) -> Refusal:
    return Refusal(
        EX_CONFIG,
        f"the agent's user «{escaped(agent)}» has the same user ID as {escaped(whose)}",
        "Give it an ID of its own, or name another account in m3ta.pi-agent.hostUsers.<user>.agentUser.",
    )


def agent_shares_group(group: str, whose: str) -> Refusal:
    return Refusal(
        EX_CONFIG,
        f"the agent's group «{escaped(group)}» has the same group ID as {escaped(whose)}",
        "Give it an ID of its own, or name another group in m3ta.pi-agent.hostUsers.<user>.agentGroup.",
    )


def state_not_mapped(directory: str, owner: str, agent: str) -> Refusal:
    return Refusal(
        EX_CONFIG,
        f"the file system of {escaped(directory)} cannot map owners, so the files of {escaped(owner)} there cannot be "
        f"those of {escaped(agent)} in a session",
        "Put m3ta.pi-agent.stateDir on a file system with ID-mapped mounts, such as ext4, XFS, Btrfs or ZFS 2.2, and "
        "do not disable user namespaces (user.max_user_namespaces).",
    )


def sync_directory_unusable(path: str, why: str) -> Refusal:
    return Refusal(
        EX_CONFIG,
        f"the sync directory {escaped(path)} cannot be used: {escaped(why)}",
        "Recreate it with systemd-tmpfiles --create. It and the directories above it must belong to root, and nobody "
        "else may write to them.",
    )


def state_missing(path: str, why: str) -> Refusal:
    return Refusal(
        EX_CONFIG,
        f"the state directory {escaped(path)} cannot be used: {escaped(why)}",
        "Recreate it with systemd-tmpfiles --create, or rebuild the system.",
    )


def env_file_unusable(path: str, why: str) -> Refusal:
    return Refusal(
        EX_CONFIG,
        f"the environment file {escaped(path)} (m3ta.pi-agent.environmentFiles) cannot be used: {escaped(why)}",
        "Make it a file of NAME=value lines in a directory that only root can change, or remove it from the option.",
    )


def extra_path_unusable(path: str, why: str) -> Refusal:
    return Refusal(
        EX_CONFIG,
        f"the path {escaped(path)} (m3ta.pi-agent.sandbox) cannot be shown inside: {escaped(why)}",
        "Make sure that it exists and that only root can redirect the links on the way to it, or remove it from the "
        "option.",
    )
