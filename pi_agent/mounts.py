"""What is mounted for a session: the project root, with owners mapped, and the state tree.

Runs as root. Both sources are open descriptors, both targets are directories that we made in the session's own
staging directory, where only root can go; so no path is resolved that somebody else could change.

The map swaps two identities, the host user and the agent, and leaves every other as it is: inside, the host user's
files are the agent's own; on disk, what the agent creates is the host user's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pi_agent import process, refusals
from pi_agent.identity import Identity
from pi_agent.policy import Tools
from pi_agent.project import Project
from pi_agent.refusals import Refusal
from pi_agent.tree import Notice

_IDS: Final = 2**32 - 1  # (uid_t) -1 is no id
_FLAGS: Final = "nosuid,nodev"


@dataclass(frozen=True, slots=True)
class Bind:
    """A staged mount: source, a directory of ours on the host; target, where the sandbox shows it."""

    source: str
    target: str


@dataclass(frozen=True, slots=True)
class Extent:
    """count ids from inside on, inside the mount, are those from outside on, on disk."""

    inside: int
    outside: int
    count: int


def swap(left: int, right: int) -> list[Extent]:
    """The map over all ids that exchanges left and right and keeps every other id. A pure function."""
    if left == right:
        return [Extent(0, 0, _IDS)]
    low, high = sorted((left, right))
    pieces = [
        Extent(0, 0, low),
        Extent(low, high, 1),
        Extent(low + 1, low + 1, high - low - 1),
        Extent(high, low, 1),
        Extent(high + 1, high + 1, _IDS - high - 1),
    ]
    return [piece for piece in pieces if piece.count > 0]


def idmap_option(caller: Identity, agent: Identity) -> str:
    """mount(8)'s X-mount.idmap= for the swap of caller and agent, uids and gids alike."""
    extents = [("u", extent) for extent in swap(caller.uid, agent.uid)]
    extents += [("g", extent) for extent in swap(caller.gid, agent.gid)]
    return "X-mount.idmap=" + " ".join(f"{kind}:{e.inside}:{e.outside}:{e.count}" for kind, e in extents)


def stage_project(
    tools: Tools, caller: Identity, agent: Identity, project: Project, target: str, notice: Notice
) -> bool:
    """Mount the project root at target; return whether its owners are mapped.

    A file system that cannot be idmapped is mounted as it is, with a notice: there the agent is a stranger whom only
    group and other permissions let in. Raises Refusal (69) when neither works.
    """
    option = idmap_option(caller, agent)
    try:
        _bind(tools, project.descriptor, target, f"{option},{_FLAGS}")
        return True
    except Refusal:
        _bind(tools, project.descriptor, target, _FLAGS)
        notice(
            f"{refusals.shown(project.root)} is on a file system that cannot map owners; the agent has only the "
            "access that its own user and m3ta.pi-agent.projectGroup give it there"
        )
        return False


def stage_state(tools: Tools, descriptor: int, target: str) -> None:
    """Mount the open state tree at target. Raises Refusal (69)."""
    _bind(tools, descriptor, target, _FLAGS)


def stage_terminals(tools: Tools, target: str) -> None:
    """Mount a new instance of devpts at target: the session's pseudo-terminals, and nobody else's (devpts(5)).

    All agents are one user, and terminals that systemd opens for a session belong to that user: in the host's
    instance, one agent could read what is typed to another. gid 5 is `tty` wherever there is systemd. Raises Refusal
    (69).
    """
    options = "newinstance,ptmxmode=0666,mode=0620,gid=5,nosuid,noexec"
    _mount([tools.mount, "-t", "devpts", "-o", options, "devpts", target])


def _bind(tools: Tools, descriptor: int, target: str, options: str) -> None:
    # --no-canonicalize: mount(8) would otherwise turn the descriptor back into a path, and follow that.
    argv = [tools.mount, "--no-canonicalize", "--bind", "-o", options, f"/proc/self/fd/{descriptor}", target]
    _mount(argv, descriptor)


def _mount(argv: list[str], *descriptors: int) -> None:
    try:
        process.run(argv, descriptors=descriptors)
    except Refusal as error:
        raise refusals.staging_failed("A mount", error.what) from error


def unstage(tools: Tools, targets: Sequence[str]) -> None:
    """Unmount the targets, also while something still uses them (umount(8), --lazy). What is not mounted is fine."""
    process.run([tools.umount, "--no-canonicalize", "--lazy", "--quiet", *targets], accept=range(256))
