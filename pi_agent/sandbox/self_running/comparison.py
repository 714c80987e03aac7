"""Compares a project after a session with its record from before.

Sees what is new or different wherever it lies: no directory is skipped, and none hides it. A directory whose identity
is unchanged has the same names as before, so only the files that run by themselves are looked at in it.
"""

from __future__ import annotations

import os
import stat
import time

from pi_agent.linux.signatures import Signature, signature_of
from pi_agent.messages import reasons
from pi_agent.python.records import record
from pi_agent.sandbox.self_running import beyond, rules, seeing
from pi_agent.sandbox.self_running import record as recorded
from pi_agent.sandbox.self_running.record import DEPTH_AT_MOST, Directory, Find, identity_of
from pi_agent.sandbox.self_running.rules import DEFAULT, Context, File, Rules
from pi_agent.sandbox.self_running.seeing import Ground

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, Final

_UNSEEN_NAMED: Final = 1000
# Of each kind, so that many files of one kind hide none of another.
_CHANGES_AT_MOST: Final = 50_000
_OLD_CONFIGURATIONS_AT_MOST: Final = 2000
_CTIME: Final = 3  # in a signature


@record
class Change:
    """A file that is new or different.

    path: below the root; real: the same without links to directories on the way. number: of its rule. before: what of
    its content mattered. filled: whether a tool filled the directory it is in.
    """

    path: str
    real: str
    number: int
    before: Any
    filled: bool


@record
class Unseen:
    """A place below the root that could not be looked at, and why."""

    path: str
    why: str


@record
class _Place:
    """A directory, open, with its path. since: None, or the time before which what is in it is old (ns).

    context, depth: as it is looked at.
    """

    descriptor: int
    path: str
    context: Context
    depth: int
    since: int | None


class Comparison:
    """Compares a whole project. began: when the record was made (ns). patience: seconds for all of it."""

    def __init__(self, ground: Ground, known: Rules, began: int, patience: float) -> None:
        self._ground = ground
        self._rules = known
        self._began = began
        self._until = time.monotonic() + patience
        self.changes: list[Change] = []
        self.unseen: list[Unseen] = []
        # Configurations of git that were not recorded and have not changed since. What they name may have.
        self.old_configurations: list[str] = []
        self._counts: dict[str, int] = {}

    def run(self, before: Directory) -> None:
        """Compare with the record of the root."""
        try:
            top = seeing.directory(self._ground, self._ground.top, ".")
        except OSError as error:
            self.overlook("", error.strerror)
            return
        try:
            since = self._began if recorded.is_unlisted(before) else None
            self._directory(_Place(top, "", DEFAULT, 0, since), before)
        finally:
            os.close(top)

    def _directory(self, place: _Place, before: Directory | None) -> None:
        status = os.fstat(place.descriptor)
        if before is not None and before[2] is not None:
            if before[0] == identity_of(status) and before[1] == place.context:
                self._same_names(place, before)
                return
        since = place.since
        if since is not None and status.st_ctime_ns >= since:
            since = None
        self._list(_Place(place.descriptor, place.path, place.context, place.depth, since), before)

    def _same_names(self, place: _Place, before: Directory) -> None:
        _, _, kids, finds = before
        for name, find in finds.items():
            self._file(place, name, (find[0], find[1]), find)
        for name, kid in (kids or {}).items():
            if kid[2] == {} and not kid[3] and self._is_same(place.descriptor, name, kid):
                continue
            self._enter(place, name, kid[1], kid)

    def _is_same(self, parent: int, name: str, before: Directory) -> bool:
        try:
            return identity_of(os.stat(name, dir_fd=parent, follow_symlinks=False)) == before[0]
        except OSError:
            return False

    def _list(self, place: _Place, before: Directory | None) -> None:
        try:
            folders, others = seeing.listed(place.descriptor)
        except OSError as error:
            self.overlook(place.path, error.strerror)
            return
        kids = {} if before is None else before[2] or {}
        finds = {} if before is None else before[3]
        found = self._rules.sort(folders, others, place.context)
        for name, file in found.files.items():
            self._file(place, name, file, finds.get(name))
        for name in folders:
            self._enter(place, name, found.folders.get(name, DEFAULT), kids.get(name))

    def _enter(self, place: _Place, name: str, context: Context, before: Directory | None) -> None:
        path = f"{place.path}/{name}" if place.path else name
        if place.depth >= DEPTH_AT_MOST or time.monotonic() > self._until:
            self.overlook(path, reasons.MORE_THAN_IS_LOOKED_AT)
            return
        since = place.since
        if before is not None and recorded.is_unlisted(before):
            before, since = None, self._began
        try:
            descriptor = seeing.directory(self._ground, place.descriptor, name)
        except OSError as error:
            # Where the host user was shut out before as well, a session has not been either.
            shut = isinstance(error, PermissionError) and before is not None and before[2] is None
            if not (shut and before is not None and self._is_same(place.descriptor, name, before)):
                self.overlook(path, error.strerror)
            return
        try:
            self._directory(_Place(descriptor, path, context, place.depth + 1, since), before)
        finally:
            os.close(descriptor)

    def _file(self, place: _Place, name: str, file: File, before: Find | None) -> None:
        path = f"{place.path}/{name}" if place.path else name
        try:
            status = os.stat(name, dir_fd=place.descriptor, follow_symlinks=False)
        except OSError:  # gone: somebody is at work here
            return
        number, context = file
        old = None if before is None else before[2]
        is_news = number is not None and self._is_news(signature_of(status), old, place.since)
        if number is not None and is_news:
            self._note(Change(path, path, number, None if before is None else before[3], context[2]))
        elif number is not None and before is None and self._rules.rule(number).kind == rules.CONFIGURATION:
            self._remember(path)
        if stat.S_ISLNK(status.st_mode):
            for change in self._beyond(place, path, file, before):
                if not is_news or change.path != path:
                    self._note(change)

    def _note(self, change: Change) -> None:
        kind = self._rules.rule(change.number).kind
        self._counts[kind] = self._counts.get(kind, 0) + 1
        if self._counts[kind] <= _CHANGES_AT_MOST:
            self.changes.append(change)
        else:
            self.overlook(change.path, reasons.MORE_THAN_IS_LOOKED_AT)

    def _remember(self, configuration: str) -> None:
        if len(self.old_configurations) < _OLD_CONFIGURATIONS_AT_MOST:
            self.old_configurations.append(configuration)
        else:
            self.overlook(configuration, reasons.MORE_THAN_IS_LOOKED_AT)

    def _beyond(self, place: _Place, path: str, file: File, before: Find | None) -> Iterator[Change]:
        """What has changed behind the link at path."""
        old = {} if before is None else before[4] or {}
        for name, (number, signature, _, real) in (beyond.look(self._ground, self._rules, path, file) or {}).items():
            known = old.get(name)
            if signature == beyond.ENDLESS:
                self.overlook(path, reasons.MORE_THAN_IS_LOOKED_AT)
            elif self._is_news(signature, None if known is None else known[1], place.since):
                yield Change(name, real, number, None if known is None else known[2], file[1][2])

    def _is_news(self, now: Signature, before: Signature | None, since: int | None) -> bool:
        if before is None and since is not None:
            return now[_CTIME] >= since
        return now != before

    def overlook(self, path: str, why: str | None) -> None:
        """Have it told that the place could not be looked at."""
        if len(self.unseen) < _UNSEEN_NAMED:
            self.unseen.append(Unseen(path, why or ""))
