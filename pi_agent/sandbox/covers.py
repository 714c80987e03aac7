"""Collects what of a project is to be covered: what patterns match, and what git obeys."""

from __future__ import annotations

import os
import stat

from pi_agent.linux import beneath, paths
from pi_agent.linux.errors import raise_machine_fault
from pi_agent.messages import notices
from pi_agent.python.records import record
from pi_agent.python.standard import IntEnum
from pi_agent.sandbox import git_directories, project_search
from pi_agent.sandbox.git_named import What
from pi_agent.sandbox.pattern_index import PatternIndex
from pi_agent.sandbox.project_search import Looks, Match, ProjectView, TooMuch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from typing import Final

    from pi_agent.sandbox.git_directories import GitDirectory
    from pi_agent.sandbox.git_named import GitFile
    from pi_agent.sandbox.git_user import UserGit
    from pi_agent.sandbox.project_walk import Walked

# The agent controls the content of the project: the number of mounts must be bounded.
COVERS_AT_MOST: Final = 4_096
_PARTS_AT_MOST: Final = 5
# The last component of a pattern in `.git` → what it stands for in every git directory, wherever that lies.
_OF_GIT: Final = {
    "config": ("config", "commondir", "gitdir"),
    "config.worktree": ("config.worktree",),
    "commondir": ("commondir",),
    "gitdir": ("gitdir",),
    "hooks": ("hooks",),
}


class Kind(IntEnum):
    """What a cover does. Of two kinds for one path, the greater applies. LINK: a symbolic link stays as it is."""

    PIN = 0
    LINK = 1
    PROTECT = 2
    HIDE = 3


@record
class Cover:
    """A mount over an existing path.

    path: the real path, relative to the project root. found: device and inode of what is there (inode(7)); None if it
    vanished while it was looked at.
    """

    path: str
    kind: Kind
    found: tuple[int, int] | None


class Covers:
    """What to cover in a project. here: the directories from the root to the session's. notices: for the user.

    Methods must run as the viewer. They raise TooMuch, and OSError if the machine fails.
    """

    def __init__(self, ground: ProjectView, here: Sequence[str]) -> None:
        self.notices: list[str] = []
        self._ground = ground
        self._here = here
        self._looks = Looks()
        self._kinds: dict[str, Kind] = {}
        self._all: dict[str, list[str]] = {}  # setting → what it names and cannot be protected

    def protect(self, walked: Walked, patterns: Iterable[str], user: UserGit) -> None:
        """Protect what matches in each place, and what git obeys if a pattern says so. user: the host user's."""
        plain: list[str] = []
        names: set[str] = set()
        for pattern in patterns:
            of_git = _OF_GIT.get(pattern.rpartition("/")[2]) if pattern.startswith(".git/") else None
            names.update(of_git or ())
            if of_git is None:
                plain.append(pattern)
        index = PatternIndex(plain)
        for place in walked.places:
            for found in project_search.matches_at(self._ground, place, index, self._looks):
                self._note(found, Kind.PROTECT, self._movable(place.path))
        if names:
            self._protect_git(walked, names, user)

    def hide(self, walked: Walked, patterns: Iterable[str]) -> None:
        """Hide what matches below the root."""
        for found in project_search.matches_at(self._ground, walked.places[0], PatternIndex(patterns), self._looks):
            self._note(found, Kind.HIDE, "")

    def ordered(self) -> tuple[Cover, ...]:
        """What was collected, in the order of mounting: parents first."""
        self._kinds.pop("", None)
        kinds = sorted(self._kinds.items(), key=lambda item: item[0].split("/"))
        return tuple(Cover(path, kind, self._identity(path)) for path, kind in kinds)

    def parts(self) -> str:
        """The directories that most of what was collected lies in."""
        return summary([path for path in self._kinds if path])

    def _protect_git(self, walked: Walked, names: Collection[str], user: UserGit) -> None:
        """names: what of each git directory to protect."""
        git = git_directories.find(self._ground, walked, user, self._looks)
        # Moved, they would be lost to git: their `gitdir` is protected, and says where they are.
        worktrees = {
            work
            for directory in git.directories
            if "gitdir" in names and any(os.path.basename(file.path) == "gitdir" for file in directory.files)
            for work in directory.works
        }
        for file in git.others:
            place = os.path.dirname(file.path)
            movable = self._movable(os.path.dirname(place) if place in worktrees else place)
            self._take(file, "" if file.fixed else movable)
        known: dict[str, str] = {}
        for directory in git.directories:
            known[directory.path] = self._movable_with(directory, known)
            for file in directory.files:
                if file.setting and "config" in names:
                    self._take_named(file, directory, known[directory.path])
                elif not file.setting and os.path.basename(file.path) in names:
                    self._take(file, known[directory.path])
        if git.unread:
            self.notices.append(notices.git_settings_unread(self._ground.root, summary(git.unread)))
        for setting, found in self._all.items():
            self.notices.append(notices.git_setting_names_all(setting, self._ground.root, summary(found)))

    def _movable(self, place: str) -> str:
        """The directory that can still be renamed, with all above: none on the way to the session's."""
        return "" if place in self._here else place

    def _movable_with(self, directory: GitDirectory, known: Mapping[str, str]) -> str:
        """The same for a git directory: it may be renamed only with the places that use it.

        known: of the git directories above it, such as that of a repository with submodules.
        """
        places = [os.path.dirname(directory.path), *directory.works] if directory.works else [directory.path]
        around = [known[above] for above in project_search.chain(directory.path)[:-1] if above in known]
        if around and not directory.works:
            places = around
        # The nearest directory above all, or one of them.
        return os.path.commonpath([*map(self._movable, places), *around])

    def _take(self, file: GitFile, movable: str) -> None:
        found = project_search.match(self._ground, file.path)
        if found is not None:
            # What a `.git` that is a link leads to is a git directory: parts of it are protected, not all.
            whole = not stat.S_ISDIR(found.mode) or file.what is not What.POINTER
            self._note(found, Kind.PROTECT if whole else Kind.PIN, movable)

    def _take_named(self, file: GitFile, directory: GitDirectory, movable: str) -> None:
        """Protect what a setting names, unless the session could not work then."""
        found = project_search.match(self._ground, file.path)
        if found is None:
            return
        needed = (*self._here, *directory.works, directory.path)
        if not found.path or any(paths.contains(found.path, path) for path in needed if path):
            self._all.setdefault(file.setting, []).append(found.path)
            return
        self._note(found, Kind.PROTECT, "" if file.fixed else movable)

    def _note(self, found: Match, kind: Kind, movable: str) -> None:
        """Record a match, the links that led to it, and pins for the directories above each of them."""
        last = Kind.LINK if stat.S_ISLNK(found.mode) else kind
        for path, its in ((found.path, last), *((link, Kind.LINK) for link in found.links)):
            self._kinds[path] = max(self._kinds.get(path, its), its)
            for above in project_search.chain(os.path.dirname(path)):
                if above and not paths.contains(above, movable):
                    self._kinds.setdefault(above, Kind.PIN)
            if len(self._kinds) > COVERS_AT_MOST:
                raise TooMuch

    def _identity(self, path: str) -> tuple[int, int] | None:
        try:
            target = beneath.opened(self._ground.descriptor, path, os.O_PATH)
        except OSError as error:  # another session is changing the project
            raise_machine_fault(error)
            return None
        try:
            status = os.fstat(target)
            return status.st_dev, status.st_ino
        finally:
            os.close(target)


def summary(found: Sequence[str]) -> str:
    """A few directories that these paths lie in or are, for a message, those of most first; `.` for the root.

    A pure function.
    """
    counts: dict[str, int] = {}
    for depth in range(16, 0, -1):
        counts = {}
        for path in found:
            part = "/".join(path.split("/")[:depth]) or "."
            counts[part] = counts.get(part, 0) + 1
        if len(counts) <= _PARTS_AT_MOST:
            break
    parts = sorted(counts, key=lambda part: -counts[part])
    more = len(parts) - _PARTS_AT_MOST
    return ", ".join(parts[:_PARTS_AT_MOST]) + (f" and {more} more" if more > 0 else "")
