"""Mounts over parts of the project: paths that the agent may read but not change, and paths that it may not see.

A file that the host runs by itself (a git hook, an `.envrc`, an editor's task) is a delayed way out of the sandbox.
Such paths are *protected*: read-only inside. Secrets that lie under an allowed root are *hidden*: an empty file or
directory is mounted over them.

Renaming a directory above a mount would bypass it. Those directories are therefore *pinned*: mounted over themselves,
because nobody can rename or remove a mount point. Only existing paths are covered; nothing is created in a project to
protect it.

All mounts are made on the attached mount of the project. The agent may be changing the same project through another
session. So every step is taken by descriptor, and no link is followed out of the project.

The kernel takes a cover away when somebody replaces or removes what is below it on the host. So what is covered is
watched, and covered again (renewal.py).
"""

from __future__ import annotations

import errno
import os
import stat

from pi_agent.linux import inotify, mount_api, paths
from pi_agent.linux.errors import raise_machine_fault
from pi_agent.linux.identities import acting_as
from pi_agent.messages import notices, refusals
from pi_agent.python.records import record
from pi_agent.python.standard import contextmanager
from pi_agent.sandbox import project_search
from pi_agent.sandbox.covers import Cover as Cover
from pi_agent.sandbox.covers import Covers, summary
from pi_agent.sandbox.covers import Kind as Kind
from pi_agent.sandbox.project_search import ProjectView, TooMuch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import Final

    from pi_agent.sandbox.git_user import UserGit

# The agent controls the content of the project: the work of a launch must be bounded.
LEVELS_AT_MOST: Final = 128
_ATTEMPTS: Final = 5


@record
class Plan:
    """covers: in the order of mounting, parents first. notices: for the user."""

    covers: tuple[Cover, ...]
    notices: tuple[str, ...]


def plan(ground: ProjectView, directory: str, protected: Iterable[str], hidden: Iterable[str], user: UserGit) -> Plan:
    """The covers for a session that starts in directory.

    protected: patterns relative to the root, to every directory from there to the session's, and to repositories. Those
    of git stand for what git obeys in every git directory. hidden: patterns as absolute paths on the host; those
    outside the root are ignored. user: the host user's git. Raises Refusal (69) if there is more to cover than a launch
    can wait for, OSError if the machine fails to show a part.
    """
    here = project_search.chain(os.path.relpath(directory, ground.root))
    if len(here) > LEVELS_AT_MOST:
        raise refusals.directory_too_deep(directory, LEVELS_AT_MOST)
    found = Covers(ground, here)
    try:
        with acting_as(ground.viewer):
            walked = project_search.places(ground, directory)
            found.protect(walked, protected, user)
            found.hide(
                walked, [os.path.relpath(path, ground.root) for path in hidden if paths.contains(ground.root, path)]
            )
            covers = found.ordered()
    except TooMuch as error:
        raise refusals.too_much_to_protect(ground.root, found.parts()) from error
    unsearched = [notices.directories_unsearched(ground.root, summary(walked.unsearched))] if walked.unsearched else []
    return Plan(covers, (*unsearched, *found.notices))


@record
class Means:
    """What covers are laid with, open. directory, file: empty ones, to mount over what is hidden.

    queue: of events (inotify.py), which learns what happens to what is covered.
    """

    directory: int
    file: int
    queue: int


def mount(ground: ProjectView, covers: Iterable[Cover], means: Means) -> list[str]:
    """Mount the covers over the attached project, as root.

    Returns the paths at which something else is now, or nothing; something else is covered as well. Runs in the
    session's mount namespace (mount_namespaces.entered). Raises OSError if the kernel refuses a mount: then nothing may
    be started.
    """
    covers = [*covers]
    displaced = [cover.path for cover in covers if not _laid(ground, cover, means)]
    _watch_above(ground, covers, means)
    watch_empty(ground, covers, means)
    return displaced


def watch_empty(ground: ProjectView, covers: Iterable[Cover], means: Means) -> None:
    """Learn when a protected directory is removed that has nothing in it: of others, what is in it goes first.

    Of itself, that shows only once the session has it open no more. Runs as `mount` does. Raises OSError.
    """
    for cover in covers:
        if cover.kind is not Kind.PROTECT:
            continue
        with _unless_changed(), acting_as(ground.viewer):
            here = _looked_at(ground, cover.path)
            try:
                # Not by /proc, which may be the session's.
                opened = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=here)
            finally:
                os.close(here)
            try:
                empty = not os.listdir(opened)
            finally:
                os.close(opened)
            if empty:
                _watch(ground, os.path.dirname(cover.path), inotify.DELETE, means)


@contextmanager
def _unless_changed() -> Iterator[None]:
    """End the block where another session has changed the project meanwhile. Raises OSError if the machine fails."""
    try:
        yield
    except OSError as error:
        raise_machine_fault(error)


def _watch_above(ground: ProjectView, covers: Iterable[Cover], means: Means) -> None:
    """Learn when a directory above a cover is moved away or removed, and its covers with it."""
    known = {cover.path for cover in covers}
    above = {path for each in known for path in project_search.chain(os.path.dirname(each)) if path} - known
    for path in sorted(above):
        with _unless_changed(), acting_as(ground.viewer):
            _watch(ground, path, inotify.MOVE_SELF | inotify.DELETE_SELF, means)


def _watch(ground: ProjectView, path: str, what: int, means: Means) -> None:
    """Watch a directory of the project. Must run as the viewer. Raises OSError."""
    opened = paths.walk_inside(ground.descriptor, ground.root, path, on_link=_no_link)
    try:
        inotify.add(means.queue, opened, what)
    finally:
        os.close(opened)


def _laid(ground: ProjectView, cover: Cover, means: Means) -> bool:
    """Cover the path, and return whether what was found when it was planned is there."""
    for attempt in reversed(range(_ATTEMPTS)):
        with acting_as(ground.viewer):
            try:
                target = _looked_at(ground, cover.path)
            except OSError as error:  # another session is changing the project
                raise_machine_fault(error)
                return False
        try:
            inotify.add(means.queue, target, _watched(cover.kind, target))
            _cover(cover.kind, target, means)
            return _identity(target) == cover.found
        except FileNotFoundError:  # replaced between the look-up and the mount
            if not attempt:
                raise
        finally:
            os.close(target)
    return False


def _watched(kind: Kind, target: int) -> int:
    """The events by which it shows that the open object may have lost its cover.

    A file that is replaced or removed has one link less. A directory is emptied first; but what is in a pinned one is
    the agent's to remove.
    """
    gone = inotify.MOVE_SELF | inotify.DELETE_SELF
    if not stat.S_ISDIR(os.fstat(target).st_mode):
        return gone | inotify.ATTRIB
    return gone if kind is Kind.PIN else gone | inotify.DELETE | inotify.MOVED_FROM


def bare(ground: ProjectView, covers: Iterable[Cover], means: Means) -> list[Cover]:
    """Those of the covers that are not laid. What is moved takes its cover along, which may be one of another kind."""
    hiding = [_identity(means.directory), _identity(means.file)]
    found = []
    with acting_as(ground.viewer):
        for cover in covers:
            with _unless_changed():  # it has just vanished: its turn comes again
                if _is_bare(ground, cover, hiding):
                    found.append(cover)
    return found


def _is_bare(ground: ProjectView, cover: Cover, hiding: Sequence[tuple[int, int]]) -> bool:
    """Whether no cover of its kind is laid. hiding: what hides. Must run as the viewer. Raises OSError."""
    folder, name = os.path.split(cover.path)
    parent = paths.walk_inside(ground.descriptor, ground.root, folder, on_link=_no_link)
    try:
        here = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
        try:
            if mount_api.mount_of(here) == mount_api.mount_of(parent):
                return True
            if cover.kind is Kind.HIDE:
                return _identity(here) not in hiding
            return cover.kind is Kind.PROTECT and not os.fstatvfs(here).f_flag & os.ST_RDONLY
        finally:
            os.close(here)
    finally:
        os.close(parent)


def _identity(descriptor: int) -> tuple[int, int]:
    status = os.fstat(descriptor)
    return status.st_dev, status.st_ino


def _looked_at(ground: ProjectView, path: str) -> int:
    """What is at the real path, open (O_PATH); a link itself. Must run as the viewer. Raises OSError."""
    folder, name = os.path.split(path)
    parent = paths.walk_inside(ground.descriptor, ground.root, folder, on_link=_no_link)
    try:
        return os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
    finally:
        os.close(parent)


def _no_link(_directory: int, _name: str) -> None:
    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))


def _cover(kind: Kind, target: int, means: Means) -> None:
    if kind is Kind.HIDE:
        source = means.directory if stat.S_ISDIR(os.fstat(target).st_mode) else means.file
    else:
        source = target
    tree = mount_api.clone(source)
    try:
        locked = mount_api.RDONLY if kind in (Kind.PROTECT, Kind.HIDE) else 0
        mount_api.set_attributes(tree, locked | mount_api.NOSUID | mount_api.NODEV)
        mount_api.attach(tree, target)
    finally:
        os.close(tree)
