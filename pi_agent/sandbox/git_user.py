"""The host user's own git configuration: settings in it name files in projects as well, in every repository at once.

Read as the host user, links and includes followed as git follows them (git-config(1), FILES).
"""

from __future__ import annotations

import os

from pi_agent.linux import files, paths
from pi_agent.linux.errors import raise_machine_fault
from pi_agent.python.records import record
from pi_agent.sandbox import git_config, git_settings
from pi_agent.sandbox.git_settings import Effect

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

    from pi_agent.sandbox.git_config import Setting

_SYSTEM: Final = "/etc/gitconfig"
_OWN: Final = (".config/git/config", ".gitconfig")
_BYTES_AT_MOST: Final = 1024**2
_FILES_AT_MOST: Final = 100


@record
class UserGit:
    """home: the host user's; files: real paths of the configuration files; settings: those with an effect.

    Each setting comes with the directory of its file, where a relative include begins.
    """

    home: str
    files: tuple[str, ...] = ()
    settings: tuple[tuple[str, Setting], ...] = ()


def look(home: str) -> UserGit:
    """What the host user's git configuration says. Must run as the host user.

    What cannot be read counts as empty, as for git. Raises OSError if the machine fails.
    """
    waiting = [f"{home}/{name}" for name in reversed(_OWN)] + [_SYSTEM]
    known = {*waiting}
    found: list[str] = []
    settings: list[tuple[str, Setting]] = []
    while waiting and len(found) < _FILES_AT_MOST:
        path = waiting.pop()
        real, text = _read(path)
        if real is None:
            continue
        found.append(real)
        folder = os.path.dirname(path)
        for setting in [] if git_settings.is_plain(text) else git_config.settings(text):
            effect = git_settings.effect_of(setting)
            if effect is not None:
                settings.append((folder, setting))
            if effect is Effect.INCLUDE:
                included = os.path.join(folder, expanded(setting.value, home))
                if included not in known:
                    known.add(included)
                    waiting.append(included)
    return UserGit(home, tuple(found), tuple(settings))


def expanded(path: str, home: str) -> str:
    """The path of a setting with the home for `~` (git-config(1), pathname). A pure function."""
    return home + path[1:] if path == "~" or path.startswith("~/") else path


def _read(path: str) -> tuple[str | None, bytes]:
    """The real path of a configuration file, and its text; None if there is none."""
    try:
        looked = paths.walk(path)
        try:
            real = paths.real_path(looked)
            if real.startswith(("/dev/", "/proc/", "/sys/")):
                return None, b""
            descriptor = paths.reopen(looked, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
            try:
                return real, files.read(descriptor, _BYTES_AT_MOST)
            finally:
                os.close(descriptor)
        finally:
            os.close(looked)
    except ValueError:
        return None, b""
    except OSError as error:
        raise_machine_fault(error)
        return None, b""
