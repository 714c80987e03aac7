"""The files in a project that the settings of a repository name: to run them, to include them, or to obey them."""

from __future__ import annotations

import os
import stat

from pi_agent.linux import paths
from pi_agent.python.records import record
from pi_agent.python.standard import Enum
from pi_agent.sandbox import git_config, git_settings, git_user, project_search
from pi_agent.sandbox.git_settings import Effect

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import Final

    from pi_agent.sandbox.git_config import Setting
    from pi_agent.sandbox.project_search import Looks, ProjectView

_CONFIG_AT_MOST: Final = 1 << 18
# Of all that are not plain: looks for what they name, and the time for so many bytes of them is that for a look.
LOOKS_AT_MOST: Final = 50_000
_BYTES_A_LOOK: Final = 40
_PATH_AT_MOST: Final = 4_096


class What(Enum):
    """Why git obeys a file.

    CONFIG: it has settings. HOOKS: what is in it runs. POINTER: it says where a git directory is. NAMED: a setting
    names it, to run it or to take from it what the setting says.
    """

    CONFIG = "config"
    HOOKS = "hooks"
    POINTER = "pointer"
    NAMED = "named"


@record
class GitFile:
    """A file or directory that git obeys.

    path: below the root, as git reaches it; setting: the one that names it; fixed: whether git looks for it there even
    if the repository has been moved.
    """

    path: str
    what: What
    setting: str = ""
    fixed: bool = False


def _effect(setting: Setting) -> Effect | None:
    return git_settings.effect_of(setting) if setting.value else None


def _words(setting: Setting) -> Iterable[str]:
    """The words of the value that may be paths."""
    effect = _effect(setting)
    if effect is Effect.RUN:
        return git_settings.words(setting.value)
    return () if effect is None else (setting.value,)


class _TooLarge(Exception):
    """A configuration file is too large to look for what it names, or all are together."""


class NamedFiles:
    """Finds what settings name. unread: configuration files that were too large to look, by their paths.

    home: the host user's, for `~`. own: settings that every repository has, each with the directory where a relative
    include begins. most: how much to look for what they name, in all. Methods must run as the viewer.
    """

    def __init__(
        self,
        ground: ProjectView,
        home: str,
        looks: Looks,
        own: Sequence[tuple[str, Setting]] = (),
        most: int = LOOKS_AT_MOST,
    ) -> None:
        self.unread: list[str] = []
        self._ground = ground
        self._home = home
        self._looks = looks
        self._left = most
        self._own = [*self._own_words(own)]

    def of(self, configs: Iterable[str], works: Sequence[str]) -> list[GitFile]:
        """What exists in the project and is named by these configuration files, or by those that they include.

        works: the directories in which git runs commands. Raises TooMuch, and OSError if the machine fails.
        """
        found: dict[str, GitFile] = {}
        for setting, word in self._own:
            for file in self._matches(setting, [word], works, self._looks.take):
                found.setdefault(file.path, file)
        waiting = [*configs, *(file.path for file in found.values() if file.what is What.CONFIG)]
        known = {*waiting}
        while waiting:
            config = waiting.pop()
            try:
                for setting in git_config.settings(self._text(config)):
                    bases = [os.path.dirname(config)] if _effect(setting) is Effect.INCLUDE else works
                    for file in self._matches(setting, _words(setting), bases, self._spend):
                        found.setdefault(file.path, file)
                        if file.what is What.CONFIG and file.path not in known:
                            known.add(file.path)
                            waiting.append(file.path)
            except _TooLarge:
                self.unread.append(config)
        return [*found.values()]

    def _text(self, config: str) -> bytes:
        """The text of the configuration file; empty if no setting in it has an effect. Raises _TooLarge."""
        self._looks.take()
        try:
            text = project_search.content(self._ground, config, _CONFIG_AT_MOST)
        except ValueError as error:
            raise _TooLarge from error
        if text is None or git_settings.is_plain(text):
            return b""
        self._spend(len(text) // _BYTES_A_LOOK)
        return text

    def _spend(self, looks: int) -> None:
        self._left -= looks
        if self._left < 0:
            raise _TooLarge

    def _own_words(self, own: Sequence[tuple[str, Setting]]) -> Iterator[tuple[Setting, str]]:
        """The words of these settings that may be paths in the project.

        In every repository, other words of a command would be looked for in vain.
        """
        for folder, setting in own:
            include = _effect(setting) is Effect.INCLUDE
            for word in _words(setting):
                if "/" not in word and _effect(setting) is Effect.RUN:
                    continue
                path = self._place(folder if include else "", word)
                if path is not None:
                    yield setting, os.path.join(folder, word) if include else word

    def _matches(
        self, setting: Setting, words: Iterable[str], bases: Sequence[str], spend: Callable[[int], None]
    ) -> Iterator[GitFile]:
        """The files that words of a setting name. bases: where relative paths begin; spend: is told of looks."""
        effect = _effect(setting)
        for word in words:
            for path in dict.fromkeys(self._place(base, word) for base in bases):
                if path is None:
                    continue
                spend(project_search.cost(path))
                found = project_search.match(self._ground, path)
                # Of a command, the words that name no file may mean anything.
                if found is not None and (effect is not Effect.RUN or stat.S_ISREG(found.mode)):
                    what = What.CONFIG if effect is Effect.INCLUDE else What.NAMED
                    yield GitFile(path, what, setting.key, fixed=word.startswith(("/", "~")))

    def _place(self, base: str, path: str) -> str | None:
        """Where a path of a setting leads, below the root; None if it leads elsewhere.

        base: where a relative path begins, below the root, or an absolute path.
        """
        path = os.path.join(base, git_user.expanded(path, self._home))
        if len(path) > _PATH_AT_MOST:
            return None
        root = self._ground.root
        if not path.startswith("/"):
            return path
        return path[len(root) :].lstrip("/") if paths.contains(root, path) else None
