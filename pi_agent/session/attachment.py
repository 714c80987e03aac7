"""Attaches what a session sees of the host, in the mount namespace of its unit.

Runs as root, while launch.bash waits to be let in: nothing of the agent runs there yet. On the host nothing is mounted,
so there is nothing to unmount, and the owner of a project can rename and remove in it as ever. What is attached was
prepared as open descriptors. The way to each mount point follows no link, and covers are laid by descriptor.
"""

from __future__ import annotations

import errno
import os
import stat

from pi_agent.linux import inotify, mount_api, mount_namespaces
from pi_agent.linux.descriptors import Descriptors
from pi_agent.linux.errors import reason
from pi_agent.messages import notices, refusals, start_refusals
from pi_agent.messages.refusal import Refusal
from pi_agent.sandbox import mounts, prepared_root, protection
from pi_agent.sandbox.covers import Cover
from pi_agent.sandbox.mount_points import MountPoints
from pi_agent.sandbox.mounts import Mount
from pi_agent.sandbox.project_search import ProjectView
from pi_agent.sandbox.protection import Means
from pi_agent.session import host_view, session_directory
from pi_agent.session.launch_plan import Plan
from pi_agent.session.namespace_limits import divided
from pi_agent.session.renewal import Covered
from pi_agent.state.user_state import State

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Final

_TERMINALS: Final = 128  # pseudo-terminals
_LOOK: Final = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC


class Attachment:
    """What to attach for one session. Close it: what was not attached is gone afterwards."""

    def __init__(self, plan: Plan, state: State) -> None:
        """Prepare it. state: the user's own tree. Raises Refusal: 69; 78 for a state tree that cannot map owners."""
        request, view = plan.request, plan.view
        self._plan = plan
        self.covered: Covered | None = None
        tree, mapped = mounts.prepared_state(state.home, view.owners.state, request.accounts)
        self._own = [Mount(tree, request.accounts.agent.home, writable=True, mapped=mapped)]
        most = divided(_TERMINALS, session_directory.others(request.session))
        self._own.append(Mount(mounts.new_terminals(most), "/dev/pts", writable=True, mapped=False))

    def close(self) -> None:
        """Close the mounts. Those that are attached stay."""
        for mount in self._own:
            os.close(mount.tree)

    def attach(self, process: int) -> Sequence[str]:
        """Attach everything in the mount namespace of the process, by its descriptor (pidfd_open(2)).

        Returns notices of paths that vanished before they could be protected. Raises Refusal (69): then the session
        must not run. Afterwards, `covered` is what is to be watched, None if nothing is covered.
        """
        try:
            return self._attach(process)
        except OSError as error:
            raise refusals.staging_failed("What the session sees", reason(error)) from error

    def _attach(self, process: int) -> Sequence[str]:
        view = self._plan.view
        prepared = os.open(view.root.path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            if view.project is None:
                with mount_namespaces.entered(process):
                    self._attach_all(prepared)
                return []
            ground = self._ground(view.project)
            with mount_namespaces.entered(process):
                self._attach_all(prepared)
                means = _means()
                displaced = _laid(ground, view.covers, means)
            self.covered = self._watched(process, view.project, means)
            return self._covered_again(ground, displaced, self.covered) if displaced else []
        finally:
            os.close(prepared)

    def _ground(self, project: Mount) -> ProjectView:
        """The attached project, as covers are laid in it. Raises Refusal (69)."""
        accounts = self._plan.request.accounts
        try:
            viewer = host_view.viewer_of(project.tree, accounts.agent if project.mapped else accounts.caller)
        except OSError as error:
            raise host_view.unprotected(error) from error
        return ProjectView(project.tree, project.target, viewer)

    def _attach_all(self, prepared: int) -> None:
        """Attach the mounts, those that others lie in first. Raises Refusal (69)."""
        view = self._plan.view
        project = () if view.project is None else (view.project,)
        with MountPoints(prepared) as points:
            if view.root.system is not None:
                os.symlink(view.root.system, prepared_root.SYSTEM)
            for mount in sorted([*self._own, *project, *view.extras], key=lambda each: each.target.split("/")):
                try:
                    directory = stat.S_ISDIR(os.fstat(mount.tree).st_mode)
                    mount_api.attach(mount.tree, points.at(mount.target, directory=directory))
                except OSError as error:
                    raise refusals.staging_failed(mount.target, reason(error)) from error

    def _watched(self, process: int, project: Mount, means: Means) -> Covered:
        """What the covers are kept by while the session runs. Its descriptors are its own."""
        return Covered(
            os.dup(process),
            os.dup(project.tree),
            project.target,
            project.mapped,
            self._plan.directory,
            means,
            {cover.path: int(cover.kind) for cover in self._plan.view.covers},
            [],
            [],
        )

    def _covered_again(self, ground: ProjectView, displaced: Sequence[str], covered: Covered) -> Sequence[str]:
        """Cover once more, and return notices of paths that vanished. Raises Refusal (69).

        Something is not where the plan found it: a session that runs in the same project has moved it.
        """
        request = self._plan.request
        try:
            again = host_view.find_covers(request.policy, request.accounts.caller, ground, self._plan.directory).covers
            bare = protection.bare(ground, again, covered.means)
        except OSError as error:
            raise host_view.unprotected(error) from error
        known = {cover.path: int(cover.kind) for cover in again}
        vanished = [path for path in displaced if path not in known]
        covered.covers.update(known)
        with mount_namespaces.entered(covered.process):
            vanished += _laid(ground, bare, covered.means)
        return [notices.protected_path_vanished(path) for path in vanished]


def _means() -> Means:
    """What to lay covers with, in the session's mount namespace. Raises Refusal (69)."""
    held = Descriptors()
    try:
        directory = held.hold(os.open(prepared_root.EMPTY_DIRECTORY, _LOOK))
        file = held.hold(os.open(prepared_root.EMPTY_FILE, _LOOK))
        return Means(directory, file, inotify.opened())
    except OSError as error:
        held.close()
        raise _unprotected(error) from error


def _laid(ground: ProjectView, covers: Sequence[Cover], means: Means) -> Sequence[str]:
    """Lay the covers, and return the paths at which something else is now, or nothing. Raises Refusal (69).

    Nothing may start without its protection.
    """
    try:
        return protection.mount(ground, covers, means)
    except OSError as error:
        raise _unprotected(error) from error


def _unprotected(error: OSError) -> Refusal:
    """The refusal of a launch whose covers cannot be laid or watched (inotify.py)."""
    if error.errno in (errno.EMFILE, errno.ENOSPC):
        return start_refusals.watches_used_up()
    return host_view.unprotected(error)
