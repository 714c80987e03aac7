"""Finds paths in a project that match patterns: at its root, on the way to a directory, and in nearby repositories.

The agent controls the content of the project, and may be changing it through another session. So every step is taken by
descriptor, no link is followed out of the project, and the search is bounded.
"""

from __future__ import annotations

import errno
import os
import stat

from pi_agent.linux import beneath, files, paths
from pi_agent.linux.errors import raise_machine_fault
from pi_agent.linux.identities import Identity
from pi_agent.python.records import record
from pi_agent.sandbox import project_walk
from pi_agent.sandbox.pattern_index import PatternIndex

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from typing import Final

    from pi_agent.sandbox.project_walk import Directory, Walked

LOOKS_AT_MOST: Final = 200_000
# To list more costs more than to look for each pattern.
_LISTED_AT_MOST: Final = 1_000
# Of a path with links on its way: each is a look.
COMPONENTS_AT_MOST: Final = 256


@record
class ProjectView:
    """A project. descriptor: its root, open; root: its path on the host; viewer: the identity that searches."""

    descriptor: int
    root: str
    viewer: Identity


@record
class Match:
    """A path that exists.

    name: the path as requested; path: the real one below the root; mode: see inode(7); links: those on the way to it.
    """

    name: str
    path: str
    mode: int
    links: tuple[str, ...]


class TooMuch(Exception):
    """The project has more to look at than any real one."""


class Looks:
    """A budget of look-ups of names, whether they succeed or not."""

    def __init__(self) -> None:
        self._left = LOOKS_AT_MOST

    def take(self, count: int = 1) -> None:
        """Use up count look-ups. Raises TooMuch if fewer are left."""
        self._left -= count
        if self._left < 0:
            raise TooMuch


def places(ground: ProjectView, directory: str) -> Walked:
    """The root, every directory from there to the session's, and what a walk finds. Raises OSError."""
    return project_walk.walk(ground.descriptor, chain(os.path.relpath(directory, ground.root)))


def chain(path: str) -> list[str]:
    """The root and every directory from there down to path."""
    parts = [part for part in path.split("/") if part not in ("", ".")]
    return ["/".join(parts[:length]) for length in range(len(parts) + 1)]


def matches_at(ground: ProjectView, place: Directory, patterns: PatternIndex, looks: Looks) -> Iterator[Match]:
    """What exists below the listed place and matches a pattern."""

    def below(path: str) -> Collection[str] | None:
        # Nothing where it is a link or a file, which may be a match itself.
        inner = project_walk.listed(ground.descriptor, f"{place.path}/{path}".lstrip("/"), _LISTED_AT_MOST)
        looks.take(len(inner.names))
        return inner.names if inner.whole and inner.names else None

    for pattern in patterns.possible(place.names, below) if place.whole else patterns.all:
        yield from _matches(ground, place.path, pattern, looks)


def _matches(ground: ProjectView, place: str, pattern: str, looks: Looks) -> Iterator[Match]:
    """What exists below place and matches pattern, where `*` stands for part of one component.

    If a component that should be a directory is a file, such as the `.git` of a submodule, the file is the match.
    """
    waiting = [(place, pattern.split("/"))]
    while waiting:
        here, (component, *rest) = waiting.pop()
        if "*" in component:
            listed = _names(ground, here)
            looks.take(len(listed))
            # Where case counts, a name in capitals is protected in vain; where it does not, its program finds it.
            names = [name for name in listed if fits(name.lower(), component.lower())]
        else:
            names = [component]
        for name in names:
            path = f"{here}/{name}" if here else name
            looks.take()
            found = match(ground, path)
            if found is None:
                continue
            if rest and stat.S_ISDIR(found.mode):
                waiting.append((path, rest))
            elif not rest or "*" not in component:
                yield found


def _names(ground: ProjectView, place: str) -> list[str]:
    """What is in the directory; nothing if it cannot be listed. Raises OSError if the machine fails."""
    try:
        looked = paths.walk_inside(ground.descriptor, ground.root, place)
        try:
            directory = paths.reopen(looked, os.O_RDONLY | os.O_DIRECTORY)
        finally:
            os.close(looked)
        try:
            with os.scandir(directory) as entries:
                return [entry.name for entry in entries]
        finally:
            os.close(directory)
    except OSError as error:
        raise_machine_fault(error)
        return []


def fits(name: str, pattern: str) -> bool:
    """Whether name matches pattern, in which only `*` is special: it stands for any number of characters."""
    first, *others = pattern.split("*")
    if not others:
        return name == pattern
    *between, last = others
    if not name.startswith(first) or not name.endswith(last) or len(name) < len(first) + len(last):
        return False
    at, end = len(first), len(name) - len(last)
    for part in between:
        at = name.find(part, at, end)
        if at < 0:
            return False
        at += len(part)
    return True


def match(ground: ProjectView, path: str) -> Match | None:
    """What path leads to inside the project; None if nothing, or if links are on a way of too many components.

    Raises OSError if the machine fails.
    """
    parts = [part for part in path.split("/") if part not in ("", ".")]
    try:
        looked = beneath.opened(ground.descriptor, "/".join(parts), os.O_PATH)
    except OSError as error:
        raise_machine_fault(error)
        linked = error.errno != errno.ENOENT
    else:
        try:
            mode = os.fstat(looked).st_mode
            linked = stat.S_ISLNK(mode)
            if not linked:
                real = "/".join(parts)
                if ".." in parts:
                    real = _below(paths.real_path(ground.descriptor), paths.real_path(looked))
                return Match(path, real, mode, ())
        finally:
            os.close(looked)
    return _match_behind_links(ground, path) if linked and len(parts) <= COMPONENTS_AT_MOST else None


def content(ground: ProjectView, path: str, at_most: int) -> bytes | None:
    """The content of the file that path leads to inside the project; None if there is none.

    Raises ValueError if it has more than at_most bytes, OSError if the machine fails.
    """
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY
    try:
        try:
            descriptor = beneath.opened(ground.descriptor, path, flags)
        except OSError as error:
            if error.errno != errno.ELOOP:
                raise
            looked = paths.walk_inside(ground.descriptor, ground.root, path)
            try:
                descriptor = paths.reopen(looked, flags)
            finally:
                os.close(looked)
        try:
            return files.read(descriptor, at_most) if stat.S_ISREG(os.fstat(descriptor).st_mode) else None
        finally:
            os.close(descriptor)
    except OSError as error:
        raise_machine_fault(error)
        return None


def cost(path: str) -> int:
    """How many looks `match` may take for the path. A pure function."""
    components = path.count("/") + 1
    return components if components <= COMPONENTS_AT_MOST else 1 + components // 32


def _match_behind_links(ground: ProjectView, path: str) -> Match | None:
    top = paths.real_path(ground.descriptor)
    links: list[str] = []

    def note(directory: int, name: str) -> None:
        links.append(_below(top, f"{paths.real_path(directory)}/{name}"))

    try:
        looked = paths.walk_inside(ground.descriptor, ground.root, path, on_link=note)
    except OSError as error:
        raise_machine_fault(error)
        if not links or not _is_link(ground, path):
            return None
        # A link that leads out of the project, or nowhere, is a match itself, at its real path.
        last = links[-1]
        return Match(path, last, stat.S_IFLNK, tuple(link for link in dict.fromkeys(links) if link != last))
    try:
        return Match(path, _below(top, paths.real_path(looked)), os.fstat(looked).st_mode, tuple(links))
    finally:
        os.close(looked)


def _is_link(ground: ProjectView, path: str) -> bool:
    """Whether a link is at the path, wherever it leads. Raises OSError if the machine fails."""
    folder, name = os.path.split(path)
    try:
        above = paths.walk_inside(ground.descriptor, ground.root, folder)
        try:
            return stat.S_ISLNK(os.stat(name, dir_fd=above, follow_symlinks=False).st_mode)
        finally:
            os.close(above)
    except OSError as error:
        raise_machine_fault(error)
        return False


def _below(top: str, path: str) -> str:
    return os.path.relpath(path, top) if path != top else ""
