"""Covers again what has lost its cover while a session runs.

Runs as root. The kernel takes a cover away when the owner of the project replaces or removes what is below it on the
host, as git and editors do; and a file that is moved away takes its cover along. The session is frozen, what is bare is
covered, and the session goes on. What stood open meanwhile is told; a session that can still change what is covered is
ended.
"""

from __future__ import annotations

import os
import time

from pi_agent.linux import inotify, mount_namespaces, paths
from pi_agent.linux.errors import reason
from pi_agent.linux.identities import acting_as
from pi_agent.messages import start_refusals
from pi_agent.messages.refusal import Refusal
from pi_agent.policy import accounts, policy_file
from pi_agent.python.records import record
from pi_agent.python.standard import suppress
from pi_agent.sandbox import protection
from pi_agent.sandbox.covers import Kind
from pi_agent.sandbox.project_search import ProjectView
from pi_agent.session import audit, control_group, descriptor_holders, host_view
from pi_agent.session.audit import Known
from pi_agent.session.session_names import Session

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Final

    from pi_agent.sandbox.covers import Cover

_ATTEMPTS: Final = 5
_GRACE: Final = 0.05  # seconds in which a session may let go of what it has open
_TURN: Final = 0.002  # seconds


@record
class Covered:
    """A project whose covers are watched.

    process: the first one of the session (pidfd_open(2)). tree: the project in there, open; mapped: whether its owners
    are. directory: where the session began. means: see protection.mount, as descriptors. covers: kinds by path.
    """

    process: int
    tree: int
    root: str
    mapped: bool
    directory: str
    means: tuple[int, int, int]
    covers: dict[str, int]

    @property
    def queue(self) -> int:
        """The queue of events."""
        return protection.Means(*self.means).queue

    @property
    def descriptors(self) -> tuple[int, ...]:
        """All that must stay open."""
        return (self.process, self.tree, *self.means)


class Renewal:
    """Keeps the covers of one session. missing: the paths that were covered, and at which nothing is now."""

    def __init__(self, session: Session, known: Known, covered: Covered) -> None:
        self._unit = session.unit
        self._known = known
        self._covered = covered
        self._exposed = session.exposed
        self.missing: frozenset[str] = frozenset()

    def look(self) -> None:
        """Cover what is bare, if something has happened. Raises Refusal (69) if that fails: then end the session."""
        names = [*inotify.read(self._covered.queue)]
        awaited = {os.path.basename(path) for path in self.missing}
        if not any(not name or not awaited or name in awaited for name in names):
            return
        try:
            control_group.freeze(self._unit, frozen=True)
            self._renew()
            control_group.freeze(self._unit, frozen=False)
        except OSError as error:
            if not control_group.is_gone(self._unit):
                control_group.kill(self._unit)
                raise start_refusals.protection_lost(self._covered.root, reason(error)) from error
        except Refusal:
            control_group.kill(self._unit)
            raise

    def _renew(self) -> None:
        """Cover what is bare. Raises OSError, Refusal (69)."""
        policy = policy_file.load(self._known.policy)
        found = accounts.of(policy, accounts.through_sudo(policy, os.environ))
        covered = self._covered
        viewer = host_view.viewer_of(covered.tree, found.agent if covered.mapped else found.caller)
        ground = ProjectView(covered.tree, covered.root, viewer)
        for _ in range(_ATTEMPTS):
            present = host_view.find_covers(policy, found.caller, ground, covered.directory).covers
            bare = _bare(ground, present)
            with mount_namespaces.entered(covered.process):
                displaced = protection.mount(ground, bare, protection.Means(*covered.means))
                self._await(ground, present)
            self._tell(bare)
            if not displaced:
                self._check_holders(ground, bare)
                return
        raise start_refusals.protection_lost(f"{covered.root}/{displaced[0]}", "it keeps changing")

    def _await(self, ground: ProjectView, present: Sequence[Cover]) -> None:
        """Learn when something is at a path again that was covered, and at which nothing is."""
        self._covered.covers.update({cover.path: cover.kind for cover in present})
        self.missing = frozenset(self._covered.covers.keys() - {cover.path for cover in present})
        for path in self.missing:
            with suppress(OSError), acting_as(ground.viewer):
                parent = paths.walk_inside(ground.descriptor, ground.root, os.path.dirname(path))
                try:
                    inotify.add(self._covered.queue, parent, inotify.CREATE | inotify.MOVED_TO)
                finally:
                    os.close(parent)

    def _tell(self, bare: Iterable[Cover]) -> None:
        """Keep what stood open for the end, and tell the journal at once."""
        for cover in bare:
            audit.uncovered(self._known, f"{self._covered.root}/{cover.path}")
            if cover.kind is Kind.HIDE:
                with open(self._exposed, "ab") as file:
                    file.write(os.fsencode(f"{self._covered.root}/{cover.path}") + b"\0")

    def _check_holders(self, ground: ProjectView, bare: Iterable[Cover]) -> None:
        """Raise Refusal (69) if the session keeps something open by which it could change what is protected."""
        for cover in bare:
            if cover.kind is Kind.PROTECT:
                self._check_held(ground, cover.path)

    def _check_held(self, ground: ProjectView, path: str) -> None:
        with acting_as(ground.viewer):
            here = paths.walk_inside(ground.descriptor, ground.root, path)
        try:
            until = time.monotonic() + _GRACE
            while descriptor_holders.holds(self._unit, here):
                if time.monotonic() > until:
                    raise start_refusals.protection_lost(
                        f"{ground.root}/{path}", "the session has it open to write since it was replaced"
                    )
                # What has it open only now and then lets go of it. It cannot open it again.
                control_group.freeze(self._unit, frozen=False)
                time.sleep(_TURN)
                control_group.freeze(self._unit, frozen=True)
        finally:
            os.close(here)


def _bare(ground: ProjectView, covers: Iterable[Cover]) -> list[Cover]:
    """Those of the covers that are not laid."""
    found = []
    with acting_as(ground.viewer):
        for cover in covers:
            with suppress(OSError):  # it has just vanished: its turn comes again
                if protection.is_bare(ground, cover.path):
                    found.append(cover)
    return found


def exposed(path: str) -> Sequence[str]:
    """The hidden paths that stood open for a moment, by the file that took them."""
    try:
        with open(path, "rb") as file:
            return [*dict.fromkeys(os.fsdecode(each) for each in file.read().split(b"\0") if each)]
    except FileNotFoundError:
        return []
