"""Finds paths in a project that match patterns: at its root, on the way to a directory, and in nearby repositories.

The agent controls the content of the project, and may be changing it through another session. So every step is taken by
descriptor, no link is followed out of the project, and the search is bounded.
"""

from __future__ import annotations

import os
import stat

from pi_agent.linux import paths
from pi_agent.linux.errors import raise_machine_fault
from pi_agent.linux.identities import Identity
from pi_agent.python.records import record
from pi_agent.python.standard import suppress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Final

# The depth of the search for nested repositories. A launch must not wait for a walk through everything.
_DEPTH: Final = 3
_VISITED_AT_MOST: Final = 20_000
LOOKS_AT_MOST: Final = 100_000
_NOT_LOOKED_INTO: Final = frozenset({"node_modules", "target", "vendor", "dist", "build", "result"})
_GIT: Final = ".git"


@record
class ProjectView:
    """A staged project. descriptor: its root, open; root: its path on the host; viewer: the identity that searches."""

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


def find(ground: ProjectView, directory: str, patterns: Iterable[str]) -> Iterator[str]:
    """The existing paths that match the patterns, in all places that are searched. Must run as the viewer.

    Stops early if there are too many, or if the machine fails.
    """
    wanted, looks = list(patterns), Looks()
    with suppress(TooMuch, OSError):
        for place in places(ground, directory).found:
            for found in matches_at(ground, place, wanted, looks):
                yield found.name


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


@record
class Places:
    """The places to search. complete: whether the search for repositories left out no directory."""

    found: tuple[str, ...]
    complete: bool


def places(ground: ProjectView, directory: str) -> Places:
    """The root, every directory from there to the session's, and nearby repositories."""
    repositories = _repositories(ground)
    here = chain(os.path.relpath(directory, ground.root))
    return Places(tuple(dict.fromkeys([*here, *repositories.found])), repositories.complete)


def chain(path: str) -> list[str]:
    """The root and every directory from there down to path."""
    parts = [part for part in path.split("/") if part not in ("", ".")]
    return ["/".join(parts[:length]) for length in range(len(parts) + 1)]


def _repositories(ground: ProjectView) -> Places:
    """Directories with a `.git` a few levels below the root, as far as a short search finds them."""
    found: list[str] = []
    waiting = [""]
    visited = 0
    while waiting and visited < _VISITED_AT_MOST:
        place = waiting.pop(0)
        visited += 1
        for name, is_directory in _listed(ground, place):
            if name == _GIT:
                found.append(place)
            elif (
                is_directory and not name.startswith(".") and name not in _NOT_LOOKED_INTO and place.count("/") < _DEPTH
            ):
                waiting.append(f"{place}/{name}" if place else name)
    return Places(tuple(found), complete=not waiting)


def _listed(ground: ProjectView, place: str) -> list[tuple[str, bool]]:
    try:
        looked = paths.walk_inside(ground.descriptor, ground.root, place)
    except OSError as error:
        raise_machine_fault(error)
        return []
    try:
        directory = paths.reopen(looked, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise_machine_fault(error)
        return []
    finally:
        os.close(looked)
    try:
        with os.scandir(directory) as entries:
            return [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
    finally:
        os.close(directory)


def matches_at(ground: ProjectView, place: str, patterns: Iterable[str], looks: Looks) -> Iterator[Match]:
    """What exists below place and matches a pattern."""
    try:
        directory = paths.walk_inside(ground.descriptor, ground.root, place)
    except OSError:  # it was there a moment ago: another session is changing the project
        directory = None
    try:
        for pattern in patterns:
            if directory is not None and _is_nowhere(directory, pattern):
                looks.take()
            else:
                yield from _matches(ground, place, pattern, looks)
    finally:
        if directory is not None:
            os.close(directory)


def _is_nowhere(directory: int, pattern: str) -> bool:
    """Whether the open directory certainly lacks the first component of pattern.

    Most patterns fail here, and one system call tells. A list of names would not do, because a file system may ignore
    case.
    """
    component = pattern.split("/", 1)[0]
    if "*" in component:
        return False
    try:
        os.stat(component, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return True
    except OSError:
        pass
    return False


def _matches(ground: ProjectView, place: str, pattern: str, looks: Looks) -> Iterator[Match]:
    """What exists below place and matches pattern, where `*` stands for part of one component.

    If a component that should be a directory is a file, such as the `.git` of a submodule, the file is the match.
    """
    waiting = [(place, pattern.split("/"))]
    while waiting:
        here, (component, *rest) = waiting.pop()
        if "*" in component:
            listed = _listed(ground, here)
            looks.take(len(listed))
            names = [name for name, _ in listed if fits(name, component)]
        else:
            names = [component]
        for name in names:
            path = f"{here}/{name}" if here else name
            looks.take()
            found = _found(ground, path)
            if found is None:
                continue
            if rest and stat.S_ISDIR(found.mode):
                waiting.append((path, rest))
            elif not rest or "*" not in component:
                yield found


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


def _found(ground: ProjectView, path: str) -> Match | None:
    """What path leads to inside the project; None if nothing."""
    top = paths.real_path(ground.descriptor)
    links: list[str] = []

    def note(directory: int, name: str) -> None:
        links.append(_below(top, f"{paths.real_path(directory)}/{name}"))

    try:
        looked = paths.walk_inside(ground.descriptor, ground.root, path, on_link=note)
    except OSError as error:
        raise_machine_fault(error)
        if not links or _read_link(ground, path) is None:
            return None
        # A link that leads out of the project, or nowhere, is a match itself, at its real path.
        last = links[-1]
        return Match(path, last, stat.S_IFLNK, tuple(link for link in dict.fromkeys(links) if link != last))
    try:
        return Match(path, _below(top, paths.real_path(looked)), os.fstat(looked).st_mode, tuple(links))
    finally:
        os.close(looked)


def link(ground: ProjectView, path: str) -> tuple[str, int] | None:
    """The target of the link at path, wherever it leads, and its ctime in nanoseconds; None if no link is seen."""
    try:
        return _read_link(ground, path)
    except OSError:
        return None


def _read_link(ground: ProjectView, path: str) -> tuple[str, int] | None:
    """As `link`, but raises OSError if the machine fails."""
    folder, name = os.path.split(path)
    try:
        above = paths.walk_inside(ground.descriptor, ground.root, folder)
        try:
            status = os.stat(name, dir_fd=above, follow_symlinks=False)
            return (os.readlink(name, dir_fd=above), status.st_ctime_ns) if stat.S_ISLNK(status.st_mode) else None
        finally:
            os.close(above)
    except OSError as error:
        raise_machine_fault(error)
        return None


def _below(top: str, path: str) -> str:
    return os.path.relpath(path, top) if path != top else ""
