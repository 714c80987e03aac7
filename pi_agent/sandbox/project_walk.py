"""A walk through a project for directories that git uses, breadth first and bounded.

Every directory is opened by one call that follows no link, so nothing outside the project is looked at, whatever the
agent changes meanwhile. What the bounds leave out is part of the result.
"""

from __future__ import annotations

import errno
import os

from pi_agent.linux import beneath
from pi_agent.linux.errors import raise_machine_fault
from pi_agent.python.records import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence, Set
    from typing import Final

# A launch waits for the walk: half a second for as much as this.
_DIRECTORIES_AT_MOST: Final = 20_000
_NAMES_AT_MOST: Final = 500_000
# Tools fill these with directories. They are walked last, so that they keep nothing else from being looked at.
_LAST: Final = frozenset({"node_modules", "target", "dist", "build", "result"})
# Of these, only packages themselves are looked at, for a `.git`.
_PACKAGES: Final = "node_modules"
# On a file system that ignores case, git takes any of these.
DOT_GIT: Final = frozenset(f".{g}{i}{t}" for g in "gG" for i in "iI" for t in "tT")
# What git itself keeps in a git directory. Git directories of submodules may lie beside these.
_OF_GIT: Final = frozenset(
    {"objects", "refs", "logs", "hooks", "info", "branches", "reftable", "lfs", "annex", "rr-cache"}
)
# Another session is changing the project.
_GONE: Final = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP})
_OPEN: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NONBLOCK


@record
class Directory:
    """A directory that was listed. path: below the root; names: all in it; folders: those that are directories.

    whole: whether these are all.
    """

    path: str
    names: Set[str]
    folders: Set[str]
    whole: bool


@record
class Walked:
    """What a walk has found.

    places: the directories it began with, and those that hold a `.git`; git_directories: what git would take for one;
    unsearched: directories that a bound left out, or that could not be listed.
    """

    places: tuple[Directory, ...]
    git_directories: tuple[Directory, ...]
    unsearched: tuple[str, ...]


def walk(top: int, first: Sequence[str]) -> Walked:
    """Walk the tree below the open directory top. first: the directories to begin with; `""` is top itself.

    Raises OSError if the machine fails.
    """
    begun = frozenset(first)
    places: list[Directory] = []
    git_directories: list[Directory] = []
    unsearched: list[str] = []
    waiting, later, at, left = [*first], list[str](), 0, _NAMES_AT_MOST
    for _ in range(_DIRECTORIES_AT_MOST):
        if at == len(waiting):
            waiting, later, at = later, [], 0
        if at == len(waiting) or left <= 0:
            break
        path = waiting[at]
        at += 1
        found = listed(top, path, left)
        if not found.whole:
            unsearched.append(path)
        left -= len(found.names)
        below = found.folders
        if path in begun or not DOT_GIT.isdisjoint(found.names):
            places.append(found)
        if is_git_directory(found):
            git_directories.append(found)
            below = below - _OF_GIT
        prefix = f"{path}/" if path else ""
        for name in _worth_a_look(top, path, below):
            inner = prefix + name
            if inner not in begun:
                (later if name in _LAST else waiting).append(inner)
    left_out = (*waiting[at:], *later)
    places += [Directory(path, frozenset(), frozenset(), whole=False) for path in left_out if path in begun]
    return Walked(tuple(places), tuple(git_directories), (*unsearched, *left_out))


def listed(top: int, path: str, at_most: int = _NAMES_AT_MOST) -> Directory:
    """What is in the directory; nothing if it has gone, or if path has a link in it.

    at_most: how many names to read. Raises OSError if the machine fails.
    """
    names: set[str] = set()
    folders: set[str] = set()
    try:
        directory = beneath.opened(top, path, _OPEN)
    except OSError as error:
        raise_machine_fault(error)
        return Directory(path, names, folders, whole=error.errno in _GONE)
    try:
        with os.scandir(directory) as entries:
            for entry in entries:
                if len(names) >= at_most:
                    return Directory(path, names, folders, whole=False)
                names.add(entry.name)
                if entry.is_dir(follow_symlinks=False):
                    folders.add(entry.name)
        return Directory(path, names, folders, whole=True)
    except OSError as error:
        raise_machine_fault(error)
        return Directory(path, names, folders, whole=False)
    finally:
        os.close(directory)


def is_git_directory(directory: Directory) -> bool:
    """Whether git would take it for a git directory, or its name says so (git's setup.c, is_git_directory)."""
    names = directory.names
    if "HEAD" in names and ("commondir" in names or ("objects" in names and "refs" in names)):
        return True
    return directory.path.rpartition("/")[2] in DOT_GIT


def _worth_a_look(top: int, path: str, folders: Iterable[str]) -> Iterable[str]:
    above, _, name = path.rpartition("/")
    scope = name.startswith("@") and above.rpartition("/")[2] == _PACKAGES
    if name != _PACKAGES and not scope:
        return folders
    return [each for each in folders if (each.startswith("@") and not scope) or _has_git(top, f"{path}/{each}")]


def _has_git(top: int, path: str) -> bool:
    try:
        os.close(beneath.opened(top, f"{path}/.git", os.O_PATH))
        return True
    except OSError as error:
        raise_machine_fault(error)
        return False
