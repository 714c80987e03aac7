"""What a project looks like before a session: every directory, and the files in it that run by themselves.

The record is made of plain tuples and dictionaries, so that marshal writes it into a file. A launch waits for it: what
is not reached in time is recorded as unlisted, and judged by its times afterwards.
"""

from __future__ import annotations

import os
import stat

from pi_agent.linux.signatures import Signature, signature_of
from pi_agent.sandbox.self_running import beyond, rules, seeing
from pi_agent.sandbox.self_running.rules import DEFAULT, Context, File, Rules
from pi_agent.sandbox.self_running.seeing import Ground

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final

    from pi_agent.sandbox.self_running.beyond import Beyond

# The identity of a directory: device, inode, ctime in nanoseconds. The last changes with each name in it.
Identity = tuple[int, int, int]
# Number of the rule; how it is followed; signature; what of its content matters; for a link, what lies beyond it.
Find = tuple["int | None", Context, Signature, "Any", "Beyond | None"]
# Identity; context; directories in it by name, None if it could not be listed; finds by name.
Directory = tuple[Identity, Context, "dict[str, Directory] | None", "dict[str, Find]"]
_UNLISTED: Final = (0, 0, 0)
DEPTH_AT_MOST: Final = 200  # directories; each holds a descriptor


def identity_of(status: os.stat_result) -> Identity:
    """The identity of a directory, from a stat result."""
    return status.st_dev, status.st_ino, status.st_ctime_ns


def unlisted(context: Context) -> Directory:
    """The record of a directory that was not reached."""
    return _UNLISTED, context, None, {}


def is_unlisted(directory: Directory) -> bool:
    """Whether the directory was not reached."""
    return directory[0] == _UNLISTED


class Recorder:
    """Records a project. directories: how many are listed; the others are recorded as unlisted."""

    def __init__(self, ground: Ground, known: Rules, directories: int) -> None:
        self._ground = ground
        self._rules = known
        self._left = directories
        self.armed: list[str] = []  # git configurations with a setting that runs something

    def directory(self, descriptor: int, path: str, context: Context, depth: int = 0) -> Directory:
        """Record the open directory and all below it. path: below the root."""
        identity = identity_of(os.fstat(descriptor))
        try:
            folders, others = seeing.listed(descriptor)
        except OSError:
            return unlisted(context)
        found = self._rules.sort(folders, others, context)
        prefix = f"{path}/" if path else ""
        finds = {}
        for name, file in found.files.items():
            find = self._find(descriptor, prefix + name, file)
            if find is not None:
                finds[name] = find
        kids = {}
        for name in folders:
            kids[name] = self._kid(descriptor, prefix + name, found.folders.get(name, DEFAULT), depth + 1)
        return identity, context, kids, finds

    def _kid(self, parent: int, path: str, context: Context, depth: int) -> Directory:
        self._left -= 1
        if self._left < 0 or depth > DEPTH_AT_MOST:
            return unlisted(context)
        name = path.rpartition("/")[2]
        try:
            descriptor = seeing.directory(self._ground, parent, name)
        except PermissionError:
            return self._closed(parent, name, context)
        except OSError:
            return unlisted(context)
        try:
            return self.directory(descriptor, path, context, depth)
        finally:
            os.close(descriptor)

    def _closed(self, parent: int, name: str, context: Context) -> Directory:
        try:
            return identity_of(os.stat(name, dir_fd=parent, follow_symlinks=False)), context, None, {}
        except OSError:
            return unlisted(context)

    def _find(self, parent: int, path: str, file: File) -> Find | None:
        number, context = file
        name = path.rpartition("/")[2]
        try:
            status = os.stat(name, dir_fd=parent, follow_symlinks=False)
        except OSError:
            return None
        if stat.S_ISLNK(status.st_mode):
            return number, context, signature_of(status), None, beyond.look(self._ground, self._rules, path, file)
        if number is None:
            return None
        content = None
        if (rule := self._rules.rule(number)).kind in seeing.COMPARED_BY_CONTENT:
            content = seeing.matters(rule, seeing.content(self._ground, parent, name))
            if rule.kind == rules.CONFIGURATION and content:
                self.armed.append(path)
        return number, context, signature_of(status), content, None
