"""Mounts for a session: the project root, with owners mapped, the state tree and the terminals.

Runs as root. Sources are open descriptors. Targets are directories that pi-agent made in the session's own staging
directory, which only root can enter. So no path is resolved that somebody else could change.

The map swaps two identities, the host user and the agent, and keeps every other one. Inside, the host user's files
belong to the agent; on disk, files that the agent creates belong to the host user.
"""

from __future__ import annotations

import errno
import grp
import os
from collections.abc import Sequence
from contextlib import suppress

from pi_agent.linux import mount_api, paths
from pi_agent.linux.identities import Identity
from pi_agent.messages import refusals
from pi_agent.python.records import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

_IDS: Final = 2**32 - 1  # (uid_t) -1 is not an id
_ATTRIBUTES: Final = mount_api.NOSUID | mount_api.NODEV


@record
class Bind:
    """A staged mount. source: a directory of ours on the host; target: where the sandbox shows it."""

    source: str
    target: str
    writable: bool = True


@record
class Mount:
    """A host path to show. tree: a mount of it, not attached; bind: where it goes; mapped: whether owners are."""

    tree: int
    bind: Bind
    mapped: bool


@record
class Extent:
    """A range of count ids. It starts at inside in the mount, and at outside on disk."""

    inside: int
    outside: int
    count: int


def swap(left: int, right: int) -> list[Extent]:
    """The map of all ids that swaps left and right and keeps every other id. A pure function."""
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


def prepared(caller: Identity, agent: Identity, descriptor: int) -> tuple[int, bool]:
    """A mount of the open directory or file with its owners swapped, not attached; and whether the swap succeeded.

    Nobody else sees the mount. Closing it removes it, unless it was attached. A file system that cannot be idmapped is
    mounted without a map. Raises Refusal (69) if neither works.
    """
    try:
        tree = mount_api.clone(descriptor)
        try:
            mapped = _map_owners(tree, caller, agent)
            mount_api.set_attributes(tree, _ATTRIBUTES)
        except OSError:
            os.close(tree)
            raise
        return tree, mapped
    except OSError as error:
        raise refusals.staging_failed(paths.real_path(descriptor), error.strerror or str(error)) from error


def stage(tree: int, target: str, what: str) -> None:
    """Attach a prepared mount at target. what: its name in a message. Raises Refusal (69)."""
    try:
        _attach(tree, target)
    except OSError as error:
        raise refusals.staging_failed(what, error.strerror or str(error)) from error


def _map_owners(tree: int, caller: Identity, agent: Identity) -> bool:
    maps = [_as_map(swap(caller.uid, agent.uid)), _as_map(swap(caller.gid, agent.gid))]
    try:
        namespace = mount_api.user_namespace(*maps)
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.ENOMEM):  # no process could be made: that says nothing of namespaces
            raise
        return False  # user namespaces are disabled
    try:
        mount_api.set_attributes(tree, 0, namespace)
        return True
    except OSError:
        return False
    finally:
        os.close(namespace)


def _as_map(extents: list[Extent]) -> str:
    """extents as the text of a uid_map or gid_map (user_namespaces(7))."""
    return "".join(f"{extent.inside} {extent.outside} {extent.count}\n" for extent in extents)


def stage_state(descriptor: int, target: str) -> None:
    """Mount the open state tree at target. Raises Refusal (69)."""
    try:
        tree = mount_api.clone(descriptor)
        try:
            mount_api.set_attributes(tree, _ATTRIBUTES)
            _attach(tree, target)
        finally:
            os.close(tree)
    except OSError as error:
        raise refusals.staging_failed("The state tree", error.strerror or str(error)) from error


def stage_terminals(target: str) -> None:
    """Mount a new instance of devpts at target, for the session's pseudo-terminals and no others (devpts(5)).

    All agents are one user, who owns the terminals that systemd opens for a session. In the host's instance, one agent
    could read what is typed to another. Their group is the host's `tty`. Raises Refusal (69).
    """
    # The machine has 4,096 of them (/proc/sys/kernel/pty/max): without a limit, one session could take all.
    options = {"mode": "0620", "ptmxmode": "0666", "max": "128"}
    with suppress(KeyError):  # without it they have the group of who opens them
        options["gid"] = str(grp.getgrnam("tty").gr_gid)
    try:
        tree = mount_api.new("devpts", options, mount_api.NOSUID | mount_api.NOEXEC)
        try:
            _attach(tree, target)
        finally:
            os.close(tree)
    except OSError as error:
        raise refusals.staging_failed("The session's terminals", error.strerror or str(error)) from error


def _attach(tree: int, target: str) -> None:
    over = os.open(target, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        mount_api.attach(tree, over)
        # The mount became shared, as /run is. What happens to it here must not happen to it in the unit.
        mount_api.set_attributes(tree, 0)
    finally:
        os.close(over)


def unstage(targets: Sequence[str]) -> None:
    """Unmount the targets, even while in use. Targets need not be mounted. Raises OSError."""
    for target in targets:
        mount_api.detach(target)
