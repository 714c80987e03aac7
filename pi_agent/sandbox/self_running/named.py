"""What the settings of git that were there before a session name in the project: to run, to include, or to obey.

What exists is protected. What does not exist yet can be made by the session, and runs then as the settings say.
"""

from __future__ import annotations

import os
import stat

from pi_agent.linux.signatures import Signature, signature_of
from pi_agent.python.standard import suppress
from pi_agent.sandbox.git_named import GitFile, NamedFiles, What
from pi_agent.sandbox.project_search import Looks, ProjectView, TooMuch
from pi_agent.sandbox.self_running import rules, seeing
from pi_agent.sandbox.self_running.comparison import Change
from pi_agent.sandbox.self_running.seeing import Ground

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Final

# Configuration → what it names: path → signature. Of a directory, that of each file in it. None: not looked at.
Named = dict[str, "dict[str, Signature] | None"]
_CTIME: Final = 3  # in a signature
_FILES_AT_MOST: Final = 5000
# Looks. A session's start waits for the first, its end for the others.
_RECORDED_AT_MOST: Final = 2000
_COMPARED_AT_MOST: Final = 5000


def look(ground: Ground, configurations: Iterable[str]) -> Named:
    """What exists of what these configurations name. Paths are below the root."""
    files, found = _files(ground, _RECORDED_AT_MOST), Named()
    for path in configurations:
        unread = len(files.unread)
        names = {name: signature for name, signature, _ in _named(ground, files, path)}
        found[path] = names if len(files.unread) == unread else None
    return found


def changes(ground: Ground, before: Named, began: int, known: set[str]) -> tuple[list[Change], list[str]]:
    """What is new or different of it, and the configurations of which not everything could be looked at.

    began: of what was not looked at, what is older is old (ns). known: changes that are told anyway.
    """
    found: dict[str, Change] = {}
    files = _files(ground, _COMPARED_AT_MOST)
    for configuration, old in before.items():
        for path, signature, file in _named(ground, files, configuration):
            is_news = signature[_CTIME] >= began if old is None else old.get(path) != signature
            if is_news and path not in known:
                number = rules.CONFIGURATION_RULE if file.what is What.CONFIG else rules.NAMED_RULE
                matter = None if number == rules.CONFIGURATION_RULE else file.setting
                found.setdefault(path, Change(path, path, number, matter, False))
    return [*found.values()], [*dict.fromkeys(files.unread)]


def _files(ground: Ground, most: int) -> NamedFiles:
    """One for all configurations of a look: they may include one another."""
    return NamedFiles(ProjectView(ground.top, ground.root, ground.caller), ground.caller.home, Looks(), most=most)


def _named(ground: Ground, named: NamedFiles, configuration: str) -> Iterator[tuple[str, Signature, GitFile]]:
    folder = os.path.dirname(configuration)
    files: list[GitFile] = []
    try:
        files = named.of([configuration], [folder, os.path.dirname(folder)])
    except (OSError, TooMuch):
        named.unread.append(configuration)
    for file in files:
        found = seeing.target(ground, file.path)
        if found is None:
            continue
        looked, real = found
        try:
            status = os.fstat(looked)
            if not stat.S_ISDIR(status.st_mode):
                yield real, signature_of(status), file
                continue
            for name in seeing.names(ground, looked)[:_FILES_AT_MOST]:
                with suppress(OSError):
                    yield f"{real}/{name}", signature_of(os.stat(name, dir_fd=looked, follow_symlinks=False)), file
        finally:
            os.close(looked)
