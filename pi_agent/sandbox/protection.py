"""Mounts over parts of the project: paths that the agent may read but not change, and paths that it may not see.

A file that the host runs by itself (a git hook, an `.envrc`, an editor's task) is a delayed way out of the sandbox.
Such paths are *protected*: read-only inside. Secrets that lie under an allowed root are *hidden*: an empty file or
directory is mounted over them.

Renaming a directory above a mount would bypass it. Those directories are therefore *pinned*: mounted over themselves,
because nobody can rename or remove a mount point. Only existing paths are covered; nothing is created in a project to
protect it.

All mounts are made on the staged mount of the project, before anybody else sees it. The agent may be changing the same
project through another session. So every step is taken by descriptor, and no link is followed out of the project.
"""

from __future__ import annotations

import errno
import os
import stat

from pi_agent.linux import mount_api, paths
from pi_agent.linux.errors import raise_machine_fault
from pi_agent.linux.identities import acting_as
from pi_agent.messages import notices, refusals
from pi_agent.python.records import record
from pi_agent.sandbox import project_search
from pi_agent.sandbox.covers import Cover as Cover
from pi_agent.sandbox.covers import Covers, summary
from pi_agent.sandbox.covers import Kind as Kind
from pi_agent.sandbox.project_search import ProjectView, TooMuch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
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


def mount(ground: ProjectView, covers: Iterable[Cover], empty_directory: int, empty_file: int) -> list[str]:
    """Mount the covers over the staged project, as root. Returns the paths at which something else is now, or nothing.

    Something else is covered as well. empty_directory, empty_file: open; mounted over what is hidden. Raises OSError if
    the kernel refuses a mount: then nothing may be started.
    """
    return [cover.path for cover in covers if not _laid(ground, cover, empty_directory, empty_file)]


def _laid(ground: ProjectView, cover: Cover, empty_directory: int, empty_file: int) -> bool:
    """Cover the path, and return whether what was found when it was planned is there."""
    for attempt in reversed(range(_ATTEMPTS)):
        with acting_as(ground.viewer):
            try:
                target = _looked_at(ground, cover.path)
            except OSError as error:  # another session is changing the project
                raise_machine_fault(error)
                return False
        try:
            _cover(cover.kind, target, empty_directory, empty_file)
            status = os.fstat(target)
            return (status.st_dev, status.st_ino) == cover.found
        except FileNotFoundError:  # replaced between the look-up and the mount
            if not attempt:
                raise
        finally:
            os.close(target)
    return False


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


def _cover(kind: Kind, target: int, empty_directory: int, empty_file: int) -> None:
    if kind is Kind.HIDE:
        source = empty_directory if stat.S_ISDIR(os.fstat(target).st_mode) else empty_file
    else:
        source = target
    tree = mount_api.clone(source)
    try:
        locked = mount_api.RDONLY if kind in (Kind.PROTECT, Kind.HIDE) else 0
        mount_api.set_attributes(tree, locked | mount_api.NOSUID | mount_api.NODEV)
        mount_api.attach(tree, target)
    finally:
        os.close(tree)
