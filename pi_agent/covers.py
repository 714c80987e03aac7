"""Mounts over parts of the project: what the agent may read but not change, and what it may not see at all.

A file that the host runs by itself (a git hook, an `.envrc`, an editor's task) is a way out of the sandbox that waits
for the user. Such paths are *protected*: read-only inside. Secrets that happen to lie under an allowed root are
*hidden*: an empty file or directory stands in their place.

A mount can be walked around by renaming a directory above it, so those directories are *pinned*: mounted over
themselves, since nobody can rename or remove a mount point. Only what exists is covered; nothing is created in a
project to protect it.

All of it happens on the staged mount of the project, before anybody else sees that. The agent may be at work in the
same project through another session: every step is taken by descriptor, without following a link out of the project.
"""

from __future__ import annotations

import fnmatch
import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from pi_agent import mountapi, paths
from pi_agent.identity import Identity, acting_as

# How far nested repositories are looked for: a launch must not wait for a walk through everything.
_DEPTH: Final = 3
_VISITED_AT_MOST: Final = 2000
_NOT_LOOKED_INTO: Final = frozenset({"node_modules", "target", "vendor", "dist", "build", "result"})
_GIT: Final = ".git"


class Kind(IntEnum):
    """What a cover does; of two for one path the greater is done."""

    PIN = 0
    PROTECT = 1
    HIDE = 2


@dataclass(frozen=True, slots=True)
class Cover:
    """path: relative to the project root, of something that exists."""

    path: str
    kind: Kind


@dataclass(frozen=True, slots=True)
class Ground:
    """A staged project. descriptor: its root, open; root: its path on the host; viewer: who may look around in it."""

    descriptor: int
    root: str
    viewer: Identity


def plan(ground: Ground, directory: str, protected: Iterable[str], hidden: Iterable[str]) -> list[Cover]:
    """The covers for a session that starts in directory, in the order in which they can be laid: parents first.

    protected: patterns relative to the root, to every directory from there to the session's, and to repositories
    nearby. hidden: patterns as absolute paths on the host; those outside of the root concern nobody.
    """
    found: dict[str, Kind] = {}
    with acting_as(ground.viewer):
        here = _chain(os.path.relpath(directory, ground.root))
        for place in _places(ground, directory):
            for pattern in protected:
                for path in _matches(ground, place, pattern):
                    _note(found, path, Kind.PROTECT, keep_above="" if place in here else place)
        for pattern in hidden:
            if paths.contains(ground.root, pattern):
                for path in _matches(ground, "", os.path.relpath(pattern, ground.root)):
                    _note(found, path, Kind.HIDE, keep_above="")
    return [Cover(path, kind) for path, kind in sorted(found.items(), key=lambda item: item[0].split("/"))]


def named(ground: Ground, directory: str, patterns: Iterable[str]) -> Iterator[str]:
    """The existing paths that patterns name, at the places where they are looked for. Must run as the viewer."""
    wanted = list(patterns)
    for place in _places(ground, directory):
        for pattern in wanted:
            yield from _matches(ground, place, pattern)


def _places(ground: Ground, directory: str) -> list[str]:
    """The root, every directory from there to the session's, and repositories nearby."""
    return list(dict.fromkeys([*_chain(os.path.relpath(directory, ground.root)), *_repositories(ground)]))


def _chain(path: str) -> list[str]:
    """The root and every directory from there down to path."""
    parts = [part for part in path.split("/") if part not in ("", ".")]
    return ["/".join(parts[:length]) for length in range(len(parts) + 1)]


def _note(found: dict[str, Kind], path: str, kind: Kind, *, keep_above: str) -> None:
    """Enter path, and pins for what is above it. keep_above: from there upwards directories stay free to be renamed."""
    found[path] = max(found.get(path, kind), kind)
    for above in _chain(os.path.dirname(path)):
        if above and not paths.contains(above, keep_above):
            found.setdefault(above, Kind.PIN)


def _repositories(ground: Ground) -> Iterator[str]:
    """Directories with a `.git` a few levels below the root, as far as a short look finds them."""
    waiting = [""]
    visited = 0
    while waiting and visited < _VISITED_AT_MOST:
        place = waiting.pop(0)
        visited += 1
        for name, is_directory in _listed(ground, place):
            if name == _GIT:
                yield place
            elif (
                is_directory and not name.startswith(".") and name not in _NOT_LOOKED_INTO and place.count("/") < _DEPTH
            ):
                waiting.append(f"{place}/{name}" if place else name)


def _listed(ground: Ground, place: str) -> list[tuple[str, bool]]:
    try:
        looked = paths.walk_inside(ground.descriptor, ground.root, place)
    except OSError:
        return []
    try:
        directory = paths.reopen(looked, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return []
    finally:
        os.close(looked)
    try:
        with os.scandir(directory) as entries:
            return [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
    finally:
        os.close(directory)


def _matches(ground: Ground, place: str, pattern: str) -> Iterator[str]:
    """The existing paths below place that pattern names, `*` standing for part of one component.

    Where a component that should be a directory is a file, as the `.git` of a submodule, that file is what is named.
    """
    waiting = [(place, pattern.split("/"))]
    while waiting:
        here, (component, *rest) = waiting.pop()
        if "*" in component:
            names = [name for name, _ in _listed(ground, here) if fnmatch.fnmatchcase(name, component)]
        else:
            names = [component]
        for name in names:
            path = f"{here}/{name}" if here else name
            kind = _kind(ground, path)
            if kind is None:
                continue
            if rest and stat.S_ISDIR(kind):
                waiting.append((path, rest))
            elif not rest or "*" not in component:
                yield path


def _kind(ground: Ground, path: str) -> int | None:
    """The type of what path leads to inside the project; None when there is nothing."""
    try:
        looked = paths.walk_inside(ground.descriptor, ground.root, path)
    except OSError:
        return None
    try:
        return os.fstat(looked).st_mode
    finally:
        os.close(looked)


def lay(ground: Ground, covers: Iterable[Cover], empty_directory: int, empty_file: int) -> list[str]:
    """Lay the covers over the staged project, as root. Returns the paths that vanished before they could be covered.

    empty_directory, empty_file: what stands in for something hidden, open. Raises OSError when the kernel refuses:
    then nothing may be started.
    """
    missed = []
    for cover in covers:
        try:
            with acting_as(ground.viewer):
                target = paths.walk_inside(ground.descriptor, ground.root, cover.path)
        except OSError:
            missed.append(cover.path)
            continue
        try:
            _cover(cover.kind, target, empty_directory, empty_file)
        finally:
            os.close(target)
    return missed


def _cover(kind: Kind, target: int, empty_directory: int, empty_file: int) -> None:
    if kind is Kind.HIDE:
        source = empty_directory if stat.S_ISDIR(os.fstat(target).st_mode) else empty_file
    else:
        source = target
    tree = mountapi.clone(source)
    try:
        if kind is not Kind.PIN:
            mountapi.set_attributes(tree, mountapi.RDONLY | mountapi.NOSUID | mountapi.NODEV)
        mountapi.attach(tree, target)
    finally:
        os.close(tree)
