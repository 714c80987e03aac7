"""The git directories of a project, found as git finds them, and in each the files that run something or redirect git.

A git directory is what a `.git` is or points to (`gitdir:`), what a git directory names as its common one
(`commondir`), and what looks like one, wherever it lies: those of submodules and worktrees, and bare repositories.
Nothing outside the project is followed (gitrepository-layout(5)).
"""

from __future__ import annotations

import os
import stat

from pi_agent.linux import paths
from pi_agent.python.records import record
from pi_agent.python.standard import suppress
from pi_agent.sandbox import project_search, project_walk
from pi_agent.sandbox.git_named import GitFile, NamedFiles, What
from pi_agent.sandbox.project_walk import DOT_GIT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

    from pi_agent.sandbox.git_user import UserGit
    from pi_agent.sandbox.project_search import Looks, ProjectView
    from pi_agent.sandbox.project_walk import Directory, Walked

_POINTER_AT_MOST: Final = 4_200  # a path has 4,096 bytes at most (path_resolution(7))
# More than this is in no git directory, and would be read once for each pointer.
_NAMES_AT_MOST: Final = 1_000
_GITDIR: Final = b"gitdir: "
# What of a git directory git obeys.
_OBEYED: Final = {
    "config": What.CONFIG,
    "config.worktree": What.CONFIG,
    "hooks": What.HOOKS,
    "commondir": What.POINTER,
    "gitdir": What.POINTER,
}


@record
class GitDirectory:
    """A git directory. path: the real one below the root; works: the places from which git uses it.

    files: what exists and git obeys, in it or named by its settings.
    """

    path: str
    works: tuple[str, ...]
    files: tuple[GitFile, ...]


@record
class Found:
    """What git uses in a project.

    directories: parents first; others: each `.git` that is no directory, wherever it leads, and the host user's own
    configuration files in the project; unread: configuration files that are too large to look for what they name.
    """

    directories: tuple[GitDirectory, ...]
    others: tuple[GitFile, ...]
    unread: tuple[str, ...]


def find(ground: ProjectView, walked: Walked, user: UserGit, looks: Looks) -> Found:
    """The git directories among what a walk has found, and those that these lead to.

    user: the host user's own configuration. Must run as the viewer. Raises TooMuch, and OSError if the machine fails.
    """
    layout = _Layout(ground, walked, looks)
    for place in walked.places:
        for name in DOT_GIT if not place.whole else DOT_GIT & place.names:
            layout.take_place(place, name)
    for path in [*layout.listed]:
        layout.take_common(path)
    named = NamedFiles(ground, user.home, looks, user.settings)
    directories = tuple(layout.described(path, named) for path in sorted(layout.listed))
    return Found(directories, (*layout.pointers, *_own(ground, user)), tuple(named.unread))


def _own(ground: ProjectView, user: UserGit) -> Iterator[GitFile]:
    """The user's own configuration files that lie in the project."""
    for path in user.files:
        if paths.contains(ground.root, path):
            yield GitFile(path[len(ground.root) :].lstrip("/"), What.CONFIG, fixed=True)


class _Layout:
    """What leads where. listed: git directories by their real path; pointers: each `.git` that is no directory."""

    def __init__(self, ground: ProjectView, walked: Walked, looks: Looks) -> None:
        self.listed: dict[str, Directory] = {each.path: each for each in walked.git_directories}
        self.pointers: list[GitFile] = []
        self._works: dict[str, dict[str, None]] = {}
        self._ground = ground
        self._looks = looks

    def take_place(self, place: Directory, name: str) -> None:
        """Follow the `.git` of a place."""
        path = _joined(place.path, name)
        if name in place.folders:
            self._lead([place.path], path)
            return
        self._looks.take()
        found = project_search.match(self._ground, path)
        if found is None:
            return
        if not stat.S_ISDIR(found.mode) or found.links:
            self.pointers.append(GitFile(path, What.POINTER))
        if stat.S_ISDIR(found.mode):
            self._lead([place.path], found.path)
        else:
            self._follow(path, place.path, [place.path], _GITDIR)

    def take_common(self, path: str) -> None:
        """Follow the `commondir` of a git directory."""
        if self._has(path, "commondir"):
            self._follow(_joined(path, "commondir"), path, [*self._works.get(path, ())], b"")

    def described(self, path: str, named: NamedFiles) -> GitDirectory:
        """The git directory, with its files."""
        files = [GitFile(_joined(path, name), what) for name, what in _OBEYED.items() if self._has(path, name)]
        works = tuple(self._works.get(path, ()))
        configs = [file.path for file in files if file.what is What.CONFIG]
        return GitDirectory(path, works, (*files, *named.of(configs, works or (path,))))

    def _has(self, path: str, name: str) -> bool:
        listed = self.listed[path]
        if listed.whole:
            return name in listed.names
        self._looks.take()
        return project_search.match(self._ground, _joined(path, name)) is not None

    def _follow(self, pointer: str, base: str, works: list[str], prefix: bytes) -> None:
        """Take the directory that the file pointer names for a git directory. base: where a relative path begins."""
        text = None
        with suppress(ValueError):  # longer than any path
            text = project_search.content(self._ground, pointer, _POINTER_AT_MOST)
        if text is None or not text.startswith(prefix):
            return
        target = self._target(base, os.fsdecode(text.removeprefix(prefix).rstrip(b"\r\n").partition(b"\0")[0]))
        if target is not None:
            self._lead(works, target)

    def _target(self, base: str, path: str) -> str | None:
        """The real path of the directory that path names; None if it is none, or outside the project."""
        root = self._ground.root
        if path.startswith("/"):
            if not paths.contains(root, path):
                return None
            base, path = "", path[len(root) :].lstrip("/")
        # base is a real path. So is what `..` at its end leads to, and what the walk has found.
        above = os.path.normpath(_joined(base, path))
        if ".." not in path.lstrip("./").split("/") and above in self.listed:
            return above
        self._looks.take(project_search.cost(path))
        found = project_search.match(self._ground, _joined(base, path))
        return found.path if found is not None and stat.S_ISDIR(found.mode) else None

    def _lead(self, works: list[str], target: str) -> None:
        self._works.setdefault(target, {}).update(dict.fromkeys(works))
        if target not in self.listed:
            self._looks.take()
            self.listed[target] = project_walk.listed(self._ground.descriptor, target, _NAMES_AT_MOST)


def _joined(directory: str, name: str) -> str:
    return f"{directory}/{name}" if directory else name
