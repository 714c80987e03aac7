"""Judges what has changed: which of it runs something that did not run before, and what that is.

Only a look: nothing in the project is changed. A new repository without a setting that runs something is no news.
"""

from __future__ import annotations

import errno
import os
import stat
import time

from pi_agent.linux import beneath, paths
from pi_agent.messages import self_running_texts as texts
from pi_agent.policy.policy_file import Tools
from pi_agent.python.records import record
from pi_agent.sandbox.self_running import git_reading, rules, seeing
from pi_agent.sandbox.self_running.comparison import Change
from pi_agent.sandbox.self_running.rules import DOT_GIT, INERT, Rule, Rules
from pi_agent.sandbox.self_running.seeing import Ground

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Final

    from pi_agent.sandbox.self_running.git_reading import Pair
    from pi_agent.sandbox.self_running_table import Beside

_POINTER_AT_MOST: Final = 4096
_CONFIGURATIONS: Final = ("config", "config.worktree")


@record
class Item:
    """Something that runs by itself and did not before.

    path: below the root, as it was found; real: where it lies. rule: which says who runs it. what: the settings of a
    git configuration that run something, or a sentence. keys: of those settings. found: device and inode; None if it is
    gone. filled: whether a tool filled the directory it is in.
    """

    path: str
    real: str
    rule: Rule
    what: tuple[str, ...]
    keys: tuple[Pair, ...]
    found: tuple[int, int] | None
    filled: bool

    @property
    def asks(self) -> bool:
        """Whether the user is asked about it. Of what a package manager filled, git alone runs something from afar."""
        return self.rule.asks and (not self.filled or self.rule.group == rules.GIT)


class Judge:
    """Judges the changes of one session. patience: seconds for git; what it did not read by then is told unread."""

    def __init__(self, ground: Ground, known: Rules, tools: Tools, patience: float) -> None:
        self._ground = ground
        self._rules = known
        self._tools = tools
        self._until = time.monotonic() + patience
        self._read: dict[bytes, list[Pair] | None] = {}

    def items(self, changes: Iterable[Change]) -> list[Item]:
        """What of the changes runs, in no order."""
        judged = [self._item(change) for change in changes]
        return [item for item in judged if item is not None]

    def _item(self, change: Change) -> Item | None:
        rule = self._rules.rule(change.number)
        if (looked := self._looked(change)) is None:
            return None
        try:
            status = os.fstat(looked)
            found = (status.st_dev, status.st_ino)
            what, keys = self._what(change, rule, looked)
        finally:
            os.close(looked)
        if what is None:
            return None
        return Item(change.path, change.real, rule, what, keys, found, change.filled)

    def _looked(self, change: Change) -> int | None:
        """What is there now, open (O_PATH), a link itself; None if it is gone."""
        folder, _, name = change.real.rpartition("/")
        try:
            parent = beneath.opened(self._ground.top, folder, os.O_PATH | os.O_DIRECTORY)
            try:
                return os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
            finally:
                os.close(parent)
        except OSError:
            return None

    def _what(self, change: Change, rule: Rule, looked: int) -> tuple[tuple[str, ...] | None, tuple[Pair, ...]]:
        if rule.kind == rules.POINTER:
            what = self._led(change.real, looked)
            return (None if what is None else (what,)), ()
        if stat.S_ISLNK(os.fstat(looked).st_mode):
            return self._behind(change, looked)
        if rule.kind == rules.NAMED:
            return (texts.named_by(change.before),), ()
        if rule.kind == rules.CONFIGURATION:
            return self._settings(change, seeing.content_of(self._ground, looked))
        if rule.kind == rules.PARTLY:
            now = seeing.matters(rule, seeing.content_of(self._ground, looked))
            known = change.before or {}
            same = now is not None and all(known.get(part) == value for part, value in now.items())
            return (None if same else ()), ()
        if rule.beside is not None and not self._is_beside(change.real, rule.beside):
            return None, ()
        return (), ()

    def _behind(self, change: Change, looked: int) -> tuple[tuple[str, ...] | None, tuple[Pair, ...]]:
        """Of a link: where it leads if that is outside; the rest is told by what it leads to."""
        where = os.readlink("", dir_fd=looked)
        found = seeing.target(self._ground, change.path)
        if found is None:
            return (texts.leads_outside(where),), ()
        os.close(found[0])
        return (texts.leads_to(where),), ()

    def _settings(self, change: Change, content: bytes | None) -> tuple[tuple[str, ...] | None, tuple[Pair, ...]]:
        if content is None:
            return (texts.UNREADABLE,), ()
        if git_reading.is_plain(content):
            return None, ()
        now = self._pairs(content)
        if now is None:
            return (texts.NOT_READ_BY_GIT,), ()
        known = () if not change.before else self._pairs(change.before) or ()
        new = [pair for pair in git_reading.running(now) if pair not in known]
        return (git_reading.shown(new), tuple(new)) if new else (None, ())

    def _pairs(self, content: bytes) -> list[Pair] | None:
        if content not in self._read:
            if time.monotonic() > self._until:
                return None
            self._read[content] = git_reading.read(self._tools, content)
        return self._read[content]

    def _is_beside(self, path: str, beside: Beside) -> bool:
        """Whether the file is there, in the same directory, with the word in it, without which nothing runs."""
        folder = path.rpartition("/")[0]
        content = self._content(f"{folder}/{beside.file}")
        return content is not None and beside.word.encode() in content

    def _content(self, path: str) -> bytes | None:
        found = seeing.target(self._ground, path)
        if found is None:
            return None
        try:
            return seeing.content_of(self._ground, found[0])
        finally:
            os.close(found[0])

    # -- files that lead git to another directory

    def _led(self, path: str, looked: int) -> str | None:
        """What is to be told of a `.git` file or link, or a `commondir`: None if it leads nowhere new."""
        if stat.S_ISLNK(os.fstat(looked).st_mode):
            where = os.readlink("", dir_fd=looked)
        else:
            content = seeing.content_of(self._ground, looked)
            if content is None:
                return texts.UNREADABLE
            where = os.fsdecode(content[:_POINTER_AT_MOST].split(b"\0")[0]).rstrip("\r\n")
            if DOT_GIT in rules.forms(path.rpartition("/")[2]):
                if not where.startswith("gitdir:"):
                    return None  # git refuses such a file
                where = where.removeprefix("gitdir:").lstrip(" ")
        try:
            there, real = self._inside(path.rpartition("/")[0], where)
        except OSError as error:
            return texts.leads_outside(where) if error.errno == errno.EXDEV else None
        os.close(there)
        if DOT_GIT in real.lower().split("/"):
            return None  # it belongs to a repository whose own files are looked at
        keys = [key for each in self._running_at(real) for key in each]
        return texts.leads_to_running(where, keys) if keys else None

    def _inside(self, folder: str, where: str) -> tuple[int, str]:
        """What where means in a directory of the project, open, and its path. Raises OSError, EXDEV if outside."""
        if where.startswith("/"):
            if not paths.contains(self._ground.root, where):
                raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), where)
            folder, where = "", where[len(self._ground.root) :]
        return seeing.walked(self._ground, f"{folder}/{where}")

    def _running_at(self, path: str, depth: int = 0) -> Iterator[list[str]]:
        """What runs in the git directory at path: keys of settings, names of hooks."""
        for name in _CONFIGURATIONS:
            content = self._content(f"{path}/{name}")
            pairs = None if content is None or git_reading.is_plain(content) else self._pairs(content)
            yield list(git_reading.shown(git_reading.running(pairs or ())))
        found = seeing.target(self._ground, f"{path}/hooks")
        if found is not None:
            try:
                yield [name for name in seeing.names(self._ground, found[0]) if not name.endswith(INERT)]
            finally:
                os.close(found[0])
        common = self._content(f"{path}/commondir")
        if common is not None and depth < 2:
            where = os.fsdecode(common[:_POINTER_AT_MOST]).rstrip("\r\n")
            try:
                there, real = self._inside(path, where)
            except OSError:
                return
            os.close(there)
            yield from self._running_at(real, depth + 1)
