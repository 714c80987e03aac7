"""What a session sees of the host: the project with its covers, further policy paths, and system directories.

Runs as root. Every mount is prepared from an open descriptor, and not attached yet.
"""

from __future__ import annotations

import errno
import os

from pi_agent.linux import identities, paths
from pi_agent.linux.descriptors import Descriptors
from pi_agent.linux.errors import raise_machine_fault, reason
from pi_agent.linux.identities import Identity, acting_as
from pi_agent.messages import installation_refusals, notices, reasons, refusals
from pi_agent.messages.refusal import Refusal
from pi_agent.policy.accounts import Accounts
from pi_agent.policy.policy_file import Policy
from pi_agent.policy.project_roots import Project
from pi_agent.python.records import record
from pi_agent.sandbox import git_user, listening_sockets, mounts, prepared_root, protection, system_directories
from pi_agent.sandbox.mounts import Mount, OwnerMaps
from pi_agent.sandbox.prepared_root import Root
from pi_agent.sandbox.project_search import ProjectView
from pi_agent.sandbox.protection import Cover
from pi_agent.sandbox.system_directories import System

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


@record
class View:
    """What a session sees.

    project: None if nothing of the host is mounted; covers: mounted over it; extras: further paths of the policy;
    owners: by which mounts map owners; state_mapped: whether the state tree's are; root: the prepared root directory;
    system: paths of the host's system besides; notices: for the user.
    """

    project: Mount | None
    covers: tuple[Cover, ...]
    extras: tuple[Mount, ...]
    owners: OwnerMaps
    state_mapped: bool
    root: Root
    system: System
    notices: tuple[str, ...]


def plan(policy: Policy, accounts: Accounts, project: Project | None, state: int, held: Descriptors) -> View:
    """Prepare the mounts, and find what to cover.

    state: the state tree, open; the state directory where there is none yet. held: keeps open what the plan needs.
    Raises Refusal: 69 if a mount or the protection cannot be prepared, 77 for a directory that the agent cannot enter,
    78 for a state tree whose owner cannot be mapped, or a path of the policy that cannot be shown.
    """
    caller, agent = accounts.caller, accounts.agent
    options = policy.sandbox
    root = prepared_root.look()
    system = system_directories.look(
        nix_daemon=options.nix_daemon, network=options.network != "none", compile_cache=policy.compile_cache
    )
    owners = _owner_maps(accounts, held)
    tree, state_mapped = mounts.prepared_state(state, owners.state, accounts)
    os.close(tree)
    if project is None:
        return View(None, (), (), owners, state_mapped, root, system, ())
    mapping = _Mapping(owners.project, held)
    mount = mapping.mounted(project.descriptor, project.root)
    check_enterable(mount.tree, project, agent)
    ground = _ground(mount, project, agent if mount.mapped else caller)
    covered = _covers(policy, caller, ground, project.directory)
    extras = _extras(policy, mapping)
    foreign = [each.target for each in (mount, *extras) if not each.mapped]
    return View(
        project=mount,
        covers=covered.covers,
        extras=tuple(extras),
        owners=owners,
        state_mapped=state_mapped,
        root=root,
        system=system,
        notices=(*map(notices.owners_not_mapped, foreign), *covered.notices, *_sockets(ground, covered)),
    )


def _owner_maps(accounts: Accounts, held: Descriptors) -> OwnerMaps:
    """The user namespaces by which mounts map owners. Raises Refusal (69)."""
    try:
        owners = mounts.owner_maps(accounts)
    except OSError as error:
        raise refusals.staging_failed("The map of owners", reason(error)) from error
    for namespace in (owners.project, owners.state):
        if namespace is not None:
            held.hold(namespace)
    return owners


@record
class _Mapping:
    """The user namespace to map owners by, and the descriptors of the mounts."""

    owners: int | None
    held: Descriptors

    def mounted(self, descriptor: int, target: str, *, writable: bool = True) -> Mount:
        """A mount of the open directory or file, not attached. Raises Refusal (69)."""
        tree, mapped = mounts.prepared(descriptor, self.owners, writable=writable)
        return Mount(self.held.hold(tree), target, writable, mapped)


def check_enterable(tree: int, project: Project, agent: Identity) -> None:
    """Raise Refusal (77) if the agent cannot enter the directory: another owner, or owners that cannot be mapped.

    tree: a prepared mount of the root. The question is asked as the agent, so that the kernel answers as it will
    inside.
    """
    below = os.path.relpath(project.directory, project.root)
    with acting_as(agent):
        try:
            directory = paths.walk_inside(tree, project.root, below)
            try:
                enterable = os.access(".", os.X_OK, dir_fd=directory, effective_ids=True)
            finally:
                os.close(directory)
        except OSError as error:
            raise_machine_fault(error)
            if error.errno == errno.ENOENT:  # removed since it was located
                raise refusals.directory_gone(project.directory) from error
            enterable = False
    if not enterable:
        raise refusals.directory_closed_to_agent(project.directory)


def _ground(mount: Mount, project: Project, otherwise: Identity) -> ProjectView:
    """The prepared mount of the project, as it is searched. Raises Refusal (69)."""
    try:
        return ProjectView(mount.tree, project.root, viewer_of(mount.tree, otherwise))
    except OSError as error:
        raise unprotected(error) from error


def _covers(policy: Policy, caller: Identity, ground: ProjectView, directory: str) -> protection.Plan:
    """What to protect and hide in the prepared mount of the project. Raises Refusal (69)."""
    try:
        return find_covers(policy, caller, ground, directory)
    except OSError as error:
        raise unprotected(error) from error


def _sockets(ground: ProjectView, covered: protection.Plan) -> list[str]:
    """The notices about sockets that can be reached inside."""
    hidden = [cover.path for cover in covered.covers if cover.kind is protection.Kind.HIDE]
    return listening_sockets.told(ground, hidden)


def find_covers(policy: Policy, caller: Identity, ground: ProjectView, directory: str) -> protection.Plan:
    """What to protect and hide in a mount of the project, for a session that starts in the directory.

    Raises Refusal (69), and OSError if the machine fails to show a part of it.
    """
    home = os.path.realpath(caller.home)
    hidden = [f"{home}/{path}" for path in policy.sandbox.hidden_paths]
    with acting_as(caller):
        user = git_user.look(home)
    return protection.plan(ground, directory, policy.sandbox.protected_paths, hidden, user)


def viewer_of(root: int, otherwise: Identity) -> Identity:
    """The identity that searches an open project for paths to cover: root, from which no directory can be closed off.

    Returns `otherwise` if the file system keeps even root out (as NFS may). In both cases, no link is followed out of
    the project.
    """
    try:
        os.close(paths.reopen(root, os.O_RDONLY | os.O_DIRECTORY))
        return identities.root()
    except PermissionError:
        return otherwise


def unprotected(error: OSError) -> Refusal:
    """The refusal of a launch whose project cannot be protected."""
    return refusals.staging_failed("The protection of the project", reason(error))


def _extras(policy: Policy, mapping: _Mapping) -> Sequence[Mount]:
    """Mounts of the policy's further paths, by descriptor. Raises Refusal: 69, 78."""
    found = []
    wanted = [(path, False) for path in policy.sandbox.read_only_paths]
    wanted += [(path, True) for path in policy.sandbox.read_write_paths]
    for path, writable in wanted:
        looked = open_extra(path)
        try:
            found.append(mapping.mounted(looked, path, writable=writable))
        finally:
            os.close(looked)
    return found


def open_extra(path: str) -> int:
    """Open (O_PATH) one of the policy's further paths. Raises Refusal (78)."""
    try:
        return paths.walk(path, on_link=_only_roots_links)
    except OSError as error:
        raise installation_refusals.extra_path_unusable(path, reason(error)) from error


def _only_roots_links(directory: int, name: str) -> None:
    if not paths.only_root_changes(directory):
        raise OSError(errno.ELOOP, reasons.link_redirected_by_others(name))
