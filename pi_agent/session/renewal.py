"""Covers again what has lost its cover while a session runs.

Runs as root. The kernel takes a cover away when the owner of the project replaces or removes what is below it on the
host, as git and editors do; and a file that is moved away takes its cover along. The session is frozen, what is bare is
covered, and the session goes on. What stood open meanwhile is told; a session that can still change what is covered is
ended.
"""

from __future__ import annotations

import os
import time

from pi_agent.linux import inotify, mount_namespaces, paths, processes
from pi_agent.linux.errors import raise_machine_fault, reason
from pi_agent.linux.identities import acting_as
from pi_agent.messages import start_refusals
from pi_agent.messages.refusal import Refusal
from pi_agent.policy import accounts, policy_file
from pi_agent.python.records import record
from pi_agent.sandbox import protection
from pi_agent.sandbox.covers import Kind
from pi_agent.sandbox.project_search import ProjectView
from pi_agent.sandbox.protection import Means
from pi_agent.session import audit, awaited_paths, control_group, descriptor_holders, host_view
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
_STOPPED_WITHIN: Final = 5.0  # seconds: a process may wait for a disk
# The agent may cause events without end: our part of the time, and how much of it may come at once, in seconds.
_SHARE: Final = 0.25
_AT_ONCE: Final = 0.25


@record
class Covered:
    """A project whose covers are watched.

    process: the first one of the session (pidfd_open(2)). tree: the project in there, open; mapped: whether its owners
    are. directory: where the session began. means: see protection.mount. covers: kinds by path.
    awaited: of these, the paths at which nothing is now. returns: the queue of events there, in a list; or none.
    """

    process: int
    tree: int
    root: str
    mapped: bool
    directory: str
    means: Means
    covers: dict[str, int]
    awaited: list[str]
    returns: list[int]

    @property
    def queues(self) -> tuple[int, ...]:
        """The queues of events."""
        return (self.means.queue, *self.returns)

    @property
    def descriptors(self) -> tuple[int, ...]:
        """All that must stay open."""
        return (self.process, self.tree, self.means.directory, self.means.file, self.means.queue, *self.returns)


class Renewal:
    """Keeps the covers of one session."""

    def __init__(self, session: Session, known: Known, covered: Covered) -> None:
        self._unit = session.unit
        self._known = known
        self._covered = covered
        self._exposed = session.exposed
        self._spent = 0.0
        self._since = time.monotonic()
        self._unsettled = False

    def look(self) -> None:
        """Cover what is bare, if something has happened. Raises Refusal (69) if that fails: then end the session."""
        news = self._is_news()
        if self._covered.returns and not news:
            time.sleep(_TURN)  # who makes files beside what is gone must not keep us busy
        while news:
            try:
                control_group.freeze(self._unit, frozen=True)
                self._pause()
                self._renew()
                control_group.freeze(self._unit, frozen=False)
                news = self._is_news()
            except OSError as error:
                if control_group.is_gone(self._unit) or processes.has_ended(self._covered.process):
                    return
                control_group.kill(self._unit)
                raise start_refusals.protection_lost(self._covered.root, reason(error)) from error
            except Refusal:
                control_group.kill(self._unit)
                raise

    def _is_news(self) -> bool:
        """Whether something has happened that can have to do with covers. What is made beside them is none."""
        changed, *returned = self._covered.queues
        names = {os.path.basename(path) for path in awaited_paths.around(self._covered.awaited)}
        happened = bool([*inotify.read(changed)])
        for queue in returned:
            happened |= any(not name or name in names for name in [*inotify.read(queue)])
        happened, self._unsettled = happened or self._unsettled, False
        return happened

    def _pause(self) -> None:
        """Let the frozen session wait if it, or somebody, keeps us too busy."""
        now = time.monotonic()
        self._spent = max(0.0, self._spent - (now - self._since) * _SHARE)
        self._since = now
        if self._spent > _AT_ONCE:
            time.sleep((self._spent - _AT_ONCE) / _SHARE)

    def _renew(self) -> None:
        """Cover what is bare. Raises OSError, Refusal (69)."""
        began = time.monotonic()
        policy = policy_file.load(self._known.policy)
        found = accounts.of(policy, accounts.through_sudo(policy, os.environ))
        covered = self._covered
        viewer = host_view.viewer_of(covered.tree, found.agent if covered.mapped else found.caller)
        ground = ProjectView(covered.tree, covered.root, viewer)
        means = covered.means
        laid: dict[str, Cover] = {}
        known, seen = {*covered.covers}, set[str]()
        for attempt in reversed(range(_ATTEMPTS)):
            try:
                present = host_view.find_covers(policy, found.caller, ground, covered.directory).covers
                bare = protection.bare(ground, present, means)
                # At once: whatever goes wrong below, these have stood open, and some may be covered by then.
                self._tell([cover for cover in bare if cover.path not in laid], known)
                laid.update((cover.path, cover) for cover in bare)
                with mount_namespaces.entered(covered.process):
                    displaced = protection.mount(ground, bare, means)
                    protection.watch_empty(ground, present, means)
                    unseen = self._await(ground, present) - seen
            except OSError as error:  # somebody, another session perhaps, is changing the project
                raise_machine_fault(error)
                if not attempt:
                    raise
                continue
            seen |= unseen
            if not displaced and not unseen:
                break
        else:
            if bare := protection.bare(ground, present, means):
                raise start_refusals.protection_lost(f"{covered.root}/{bare[0].path}", "it keeps changing")
            self._unsettled = True  # somebody is at work there: once more
        self._check_holders(ground, [cover for path, cover in laid.items() if _was_covered(path, known)])
        self._spent += time.monotonic() - began

    def _await(self, ground: ProjectView, present: Sequence[Cover]) -> set[str]:
        """Learn when something is at a path again that was covered, and at which nothing is.

        Returns the paths that were covered, at which something is that was not found to need a cover: either it needs
        none any more, or it has just come.
        """
        covered = self._covered
        covered.covers.update({cover.path: cover.kind for cover in present})
        absent = covered.covers.keys() - {cover.path for cover in present}
        gone = [path for path in absent if not awaited_paths.exists(ground, path)]
        if gone and not covered.returns:
            covered.returns.append(inotify.opened())
        elif not gone and covered.returns:
            os.close(covered.returns.pop())
        covered.awaited[:] = gone
        if gone:
            awaited_paths.watch(ground, covered.returns[0], gone)
        return {path for path in absent if awaited_paths.exists(ground, path)}

    def _tell(self, bare: Iterable[Cover], known: Iterable[str]) -> None:
        """Keep what stood open for the end, and tell the journal at once."""
        for cover in bare:
            if not _was_covered(cover.path, known):
                continue
            audit.uncovered(self._known, f"{self._covered.root}/{cover.path}")
            if cover.kind is Kind.HIDE:
                with open(self._exposed, "ab") as file:
                    file.write(os.fsencode(f"{self._covered.root}/{cover.path}") + b"\0")

    def _check_holders(self, ground: ProjectView, covers: Sequence[Cover]) -> None:
        """Raise Refusal (69) if the session keeps a way by which it could change what is protected."""
        wanted = [cover for cover in covers if cover.kind in (Kind.PIN, Kind.PROTECT)]
        if not wanted:
            return
        control_group.await_frozen(self._unit, _STOPPED_WITHIN)
        until = time.monotonic() + _GRACE
        while (path := self._changeable(ground, wanted)) is not None:
            if time.monotonic() > until:
                raise start_refusals.protection_lost(
                    f"{ground.root}/{path}", "the session still has a way to what came there"
                )
            # What has it open only now and then lets go of it. It cannot open it again.
            control_group.freeze(self._unit, frozen=False)
            time.sleep(_TURN)
            control_group.freeze(self._unit, frozen=True)
            control_group.await_frozen(self._unit, _STOPPED_WITHIN)

    def _changeable(self, ground: ProjectView, covers: Iterable[Cover]) -> str | None:
        """The first path to which the session has a way that leads past the cover."""
        held = descriptor_holders.held(self._unit)
        for cover in covers:
            try:
                with acting_as(ground.viewer):
                    here = paths.walk_inside(ground.descriptor, ground.root, cover.path)
            except OSError:  # it has just vanished, or become something else: its turn comes again
                continue
            try:
                if descriptor_holders.can_change(held, here, linked=cover.kind is Kind.PROTECT):
                    return cover.path
            finally:
                os.close(here)
        return None


def _was_covered(path: str, known: Iterable[str]) -> bool:
    """Whether the path, or a directory that it is in, was covered before."""
    return any(paths.contains(before, path) for before in known)


def exposed(path: str) -> Sequence[str]:
    """The hidden paths that stood open for a moment, by the file that took them."""
    try:
        with open(path, "rb") as file:
            return [*dict.fromkeys(os.fsdecode(each) for each in file.read().split(b"\0") if each)]
    except FileNotFoundError:
        return []
