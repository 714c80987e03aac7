"""Mounts for a session: the project root and the state tree, with owners mapped, and the terminals.

Runs as root. Every mount is made of an open descriptor, and is attached nowhere: nobody else sees it, and closing it
removes it.

The map of a project goes one way: what belongs to the host user on disk belongs to the agent inside, and what the agent
creates belongs to the host user on disk. The host user's own IDs have no place in the mount, so that a host process
that got hold of a descriptor from inside creates nothing through it (EOVERFLOW). Every other ID stays as it is. In the
state tree, the agent and root are the only ones.
"""

from __future__ import annotations

import errno
import grp
import os

from pi_agent.linux import mount_api, paths
from pi_agent.messages import installation_refusals, refusals
from pi_agent.policy.accounts import Accounts
from pi_agent.python.records import record
from pi_agent.python.standard import suppress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

_IDS: Final = 2**32 - 1  # (uid_t) -1 is not an id
_ATTRIBUTES: Final = mount_api.NOSUID | mount_api.NODEV


@record
class Mount:
    """Something of the host to show. tree: a mount of it, not attached; target: where it goes, an absolute path.

    writable: whether the session may write there; mapped: whether owners are mapped.
    """

    tree: int
    target: str
    writable: bool
    mapped: bool


@record
class Extent:
    """A range of count IDs that starts at `disk` on disk, and is shown from `shown` on in the mount."""

    disk: int
    shown: int
    count: int


def one_way(disk: int, shown: int) -> list[Extent]:
    """The map that shows the ID `disk` as `shown`, and every other ID as itself. A pure function.

    Nothing on disk is shown as `disk`, and what has the ID `shown` on disk is shown as nobody's.
    """
    if disk == shown:
        return [Extent(0, 0, _IDS)]
    low, high = sorted((disk, shown))
    pieces = [
        Extent(0, 0, low),
        Extent(disk, shown, 1),
        Extent(low + 1, low + 1, high - low - 1),
        Extent(high + 1, high + 1, _IDS - high - 1),
    ]
    return [piece for piece in pieces if piece.count > 0]


@record
class OwnerMaps:
    """User namespaces by which mounts map owners. project: for what is the host user's; state: for the state tree.

    Both are None where the kernel makes no user namespaces.
    """

    project: int | None
    state: int | None

    def close(self) -> None:
        """Close the namespaces. Mounts that were mapped by them stay as they are."""
        for namespace in (self.project, self.state):
            if namespace is not None:
                os.close(namespace)


def owner_maps(accounts: Accounts) -> OwnerMaps:
    """Make the user namespaces of a launch. Raises OSError if the machine has no processes or memory left."""
    caller, agent, owner = accounts.caller, accounts.agent, accounts.owner
    project: int | None = None
    try:
        project = _namespace(one_way(caller.uid, agent.uid), one_way(caller.gid, agent.gid))
        state = _namespace(_and_root(owner.uid, agent.uid), _and_root(owner.gid, agent.gid))
        return OwnerMaps(project, state)
    except OSError as error:
        OwnerMaps(project, None).close()
        if error.errno in (errno.EAGAIN, errno.ENOMEM):  # no process could be made: that says nothing of namespaces
            raise
        return OwnerMaps(None, None)  # user namespaces are disabled


def _namespace(uids: list[Extent], gids: list[Extent]) -> int:
    """A user namespace with these maps (user_namespaces(7); mount_setattr(2), ID mappings). Raises OSError."""
    maps = ["".join(f"{each.disk} {each.shown} {each.count}\n" for each in extents) for extents in (uids, gids)]
    return mount_api.user_namespace(*maps)


def _and_root(disk: int, shown: int) -> list[Extent]:
    return [Extent(0, 0, 1), *([Extent(disk, shown, 1)] if disk else [])]


def prepared(descriptor: int, owners: int | None, *, writable: bool = True) -> tuple[int, bool]:
    """A mount of the open directory or file, not attached; and whether its owners are mapped.

    owners: the user namespace to map them by. A file system that cannot be idmapped is mounted without a map. Raises
    Refusal (69) if neither works.
    """
    try:
        tree = mount_api.clone(descriptor)
        try:
            mapped = owners is not None and _map_owners(tree, owners)
            mount_api.set_attributes(tree, _ATTRIBUTES if writable else _ATTRIBUTES | mount_api.RDONLY)
        except OSError:
            os.close(tree)
            raise
        return tree, mapped
    except OSError as error:
        raise refusals.staging_failed(paths.real_path(descriptor), error.strerror or str(error)) from error


def prepared_state(descriptor: int, owners: int | None, accounts: Accounts) -> tuple[int, bool]:
    """A mount of the open state tree that belongs to the agent, not attached; and whether its owners are mapped.

    Raises Refusal: 69 if it cannot be mounted, 78 if its owner cannot be mapped and is another account.
    """
    tree, mapped = prepared(descriptor, owners)
    if not mapped and accounts.apart:
        os.close(tree)
        raise installation_refusals.state_not_mapped(accounts.owner.home, accounts.owner.name, accounts.agent.name)
    return tree, mapped


def _map_owners(tree: int, owners: int) -> bool:
    try:
        mount_api.set_attributes(tree, 0, owners)
        return True
    except OSError:
        return False


def new_terminals(most: int) -> int:
    """A new instance of devpts, for a session's pseudo-terminals and no others (devpts(5)), not attached.

    most: how many the session may have.

    All sessions of a host user run as one agent, who owns the terminals that systemd opens for them. In the host's
    instance, one session could read what is typed to another. Their group is the host's `tty`. Raises Refusal (69).
    """
    # The machine has 4,096 of them (/proc/sys/kernel/pty/max): without a limit, one session could take all.
    options = {"mode": "0620", "ptmxmode": "0666", "max": str(most)}
    with suppress(KeyError):  # without it they have the group of who opens them
        options["gid"] = str(grp.getgrnam("tty").gr_gid)
    try:
        return mount_api.new("devpts", options, mount_api.NOSUID | mount_api.NOEXEC)
    except OSError as error:
        raise refusals.staging_failed("The session's terminals", error.strerror or str(error)) from error
