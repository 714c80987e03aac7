"""What links that run by themselves lead to inside the project: a hook that is a link to a script, a linked `.vscode`.

Nothing is remembered of the directories there: links are few, and what they lead to is looked at anew each time.
"""

from __future__ import annotations

import os
import stat

from pi_agent.linux.signatures import Signature, signature_of
from pi_agent.python.records import record
from pi_agent.sandbox.self_running import rules, seeing
from pi_agent.sandbox.self_running.rules import DEFAULT, Context, File, Rules
from pi_agent.sandbox.self_running.seeing import Ground

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final

# Path by way of the link → number of the rule, signature, what of the content matters, real path.
Beyond = dict[str, tuple[int, Signature, "Any", str]]
# In place of a signature: there is more than is looked at, or it cannot be.
ENDLESS: Final[Signature] = (-1, 0, 0, 0)
_LOOKS_AT_MOST: Final = 20_000
_DEPTH_AT_MOST: Final = 40


def look(ground: Ground, known: Rules, path: str, file: File) -> Beyond | None:
    """What the link at path leads to. None if that is nothing, is outside, or holds the link itself."""
    number = file[0]
    if number is not None and known.rule(number).kind == rules.POINTER:
        return None  # git directories are looked at where they are
    follower = _Follower(ground, known)
    try:
        follower.follow(path, file, 0)
    except (_Endless, OSError):
        follower.found[path] = (number or 0, ENDLESS, None, "")
    return follower.found or None


class _Endless(Exception):
    """There is more than is looked at."""


@record
class _At:
    """An open directory (O_PATH), its path by way of links, and its real path."""

    descriptor: int
    path: str
    real: str


class _Follower:
    def __init__(self, ground: Ground, known: Rules) -> None:
        self._ground = ground
        self._rules = known
        self._entered: set[tuple[int, int]] = set()
        self._looks = 0
        self.found: Beyond = {}

    def follow(self, path: str, file: File, depth: int) -> None:
        """Note what is at path, links followed."""
        self._looks += 1
        if self._looks > _LOOKS_AT_MOST or depth > _DEPTH_AT_MOST:
            raise _Endless
        number, context = file
        found = seeing.target(self._ground, path)
        if found is None:
            return
        looked, real = found
        try:
            status = os.fstat(looked)
            if stat.S_ISDIR(status.st_mode):
                key = (status.st_dev, status.st_ino)
                if key not in self._entered and not f"{path}/".startswith(f"{real}/" if real else ""):
                    self._entered.add(key)
                    self._directory(_At(looked, path, real), context, depth + 1)
            elif number is not None:
                rule, content = self._rules.rule(number), None
                if rule.kind in seeing.COMPARED_BY_CONTENT:
                    content = seeing.matters(rule, seeing.content_of(self._ground, looked))
                self.found[path] = (number, signature_of(status), content, real)
        finally:
            os.close(looked)

    def _directory(self, here: _At, context: Context, depth: int) -> None:
        descriptor = seeing.reopened(self._ground, here.descriptor, os.O_RDONLY | os.O_DIRECTORY)
        try:
            folders, others = seeing.listed(descriptor)
        finally:
            os.close(descriptor)
        found = self._rules.sort(folders, others, context)
        for name, file in found.files.items():
            self.follow(f"{here.path}/{name}", file, depth)
        for name in folders:
            below = found.folders.get(name, DEFAULT)
            if below != DEFAULT:  # what lies elsewhere in the project is looked at there
                self.follow(f"{here.path}/{name}", (below[1], below), depth)
