"""The files in a project that the settings of a repository name: to run them, to include them, or to obey them."""

from __future__ import annotations

import os
import stat

from pi_agent.linux import paths
from pi_agent.python.records import record
from pi_agent.python.standard import Enum
from pi_agent.sandbox import git_config, git_settings, project_search
from pi_agent.sandbox.git_settings import Effect

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import Final

    from pi_agent.sandbox.git_config import Setting
    from pi_agent.sandbox.project_search import Looks, ProjectView

_CONFIG_AT_MOST: Final = 1 << 18
_CONFIGS_AT_MOST: Final = 1 << 21  # all together that are not plain: parsing one takes a second for four of these
_INCLUDED_AT_MOST: Final = 100  # by one repository


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
    """A file or directory that git obeys. path: below the root, as git reaches it; setting: the one that names it."""

    path: str
    what: What
    setting: str = ""


class NamedFiles:
    """Finds what settings name. unread: configuration files that were too large to look, by their paths.

    home: the host user's, for `~`. Methods must run as the viewer.
    """

    def __init__(self, ground: ProjectView, home: str, looks: Looks) -> None:
        self.unread: list[str] = []
        self._ground = ground
        self._home = home
        self._looks = looks
        self._left = _CONFIGS_AT_MOST

    def of(self, configs: Iterable[str], works: Sequence[str]) -> list[GitFile]:
        """What exists in the project and is named by these configuration files, or by those that they include.

        works: the directories in which git runs commands. Raises TooMuch, and OSError if the machine fails.
        """
        found: dict[str, GitFile] = {}
        waiting = [*configs]
        known = {*waiting}
        while waiting:
            config = waiting.pop()
            for setting in self._settings(config):
                for file in self._files(setting, os.path.dirname(config), works):
                    found.setdefault(file.path, file)
                    if file.what is What.CONFIG and file.path not in known:
                        known.add(file.path)
                        (waiting if len(known) < _INCLUDED_AT_MOST else self.unread).append(file.path)
        return [*found.values()]

    def _settings(self, config: str) -> list[Setting]:
        self._looks.take()
        try:
            text = project_search.content(self._ground, config, _CONFIG_AT_MOST)
        except ValueError:
            self.unread.append(config)
            return []
        if text is None or git_settings.is_plain(text):
            return []
        self._left -= len(text)
        if self._left < 0:
            self.unread.append(config)
            return []
        return git_config.settings(text)

    def _files(self, setting: Setting, folder: str, works: Sequence[str]) -> Iterator[GitFile]:
        """folder: the directory of the configuration file."""
        effect = git_settings.effect_of(setting)
        if effect is None or not setting.value:
            return
        bases = [folder] if effect is Effect.INCLUDE else works
        words = [*git_settings.words(setting.value)] if effect is Effect.RUN else [setting.value]
        for word in words:
            for path in dict.fromkeys(self._place(base, word) for base in bases):
                if path is None:
                    continue
                self._looks.take()
                found = project_search.match(self._ground, path)
                # Of a command, the words that name no file may mean anything.
                if found is not None and (effect is not Effect.RUN or stat.S_ISREG(found.mode)):
                    yield GitFile(path, What.CONFIG if effect is Effect.INCLUDE else What.NAMED, setting.key)

    def _place(self, base: str, path: str) -> str | None:
        """Where a path of a setting leads, below the root (git-config(1), pathname); None if it leads elsewhere."""
        if path.startswith("~/"):
            path = self._home + path[1:]
        if path.startswith("/"):
            root = self._ground.root
            return path[len(root) :].lstrip("/") if paths.contains(root, path) else None
        return os.path.join(base, path)
