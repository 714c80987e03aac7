"""Scans two trees of files: the host user's configuration, as that user, and the isolated tree, as its owner.

In the host's tree, links are followed by the rules of `host_config`. In the isolated tree, no link is followed.
"""

from __future__ import annotations

import os
import stat

from pi_agent.linux import directories
from pi_agent.linux.directories import Trail
from pi_agent.linux.errors import reason
from pi_agent.messages import notices, refusals
from pi_agent.python.records import record
from pi_agent.state.host_config import HostTree
from pi_agent.state.tree_entries import Entry, Kind, entry_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Final

ENTRIES_AT_MOST: Final = 200_000
BYTES_AT_MOST: Final = 2 * 1024**3
DEPTH_AT_MOST: Final = 64
# Names examined in one scan of a host's tree: links can make a small tree endless, and a deep path takes many steps.
LOOKS_AT_MOST: Final = 400_000


@record
class HostScan:
    """entries: every file and directory found, by relative path. notices: one for each entry left out."""

    entries: Mapping[str, Entry]
    notices: tuple[str, ...]


def scan_host(tree: HostTree, skip: Callable[[str], bool]) -> HostScan:
    """Every file and directory of the host's tree, without the top-level names that skip accepts.

    What cannot be copied (a pipe, a socket, a device, a loop of links, a file out of the user's reach) is left out,
    with a notice that names it. Must run as the host user. Raises Refusal (65) beyond the limits, or if the top cannot
    be listed.
    """
    try:
        top = tree.open_directory("")
    except OSError as error:
        raise refusals.config_unreadable(tree.path, error.strerror or str(error)) from error
    try:
        with Trail(top, directories.peek) as trail:
            return _HostScanner(tree, trail, skip).run()
    finally:
        os.close(top)


class _HostScanner:
    """One scan of a host's tree."""

    def __init__(self, tree: HostTree, trail: Trail, skip: Callable[[str], bool]) -> None:
        self._tree = tree
        self._trail = trail
        self._skip = skip
        self._notices: list[str] = []
        self._found: dict[str, Entry] = {}
        self._bytes = self._looks = 0
        # Directories to scan: the name, the device and inode of each directory above, and whether a link led there.
        self._waiting: list[tuple[str, frozenset[tuple[int, int]], bool]] = [("", frozenset(), False)]

    def run(self) -> HostScan:
        while self._waiting:
            where, above, linked = self._waiting.pop()
            self._looks += len(above)
            try:
                self._look_into(where, above, linked)
            except OSError as error:  # also if its names can be listed but not examined
                if not where:
                    raise refusals.config_unreadable(self._tree.path, error.strerror or str(error)) from error
                self._pass_over(where, error)
        return HostScan(self._found, tuple(self._notices))

    def _look_into(self, where: str, above: frozenset[tuple[int, int]], linked: bool) -> None:
        directory, linked = self._open(where, linked)
        status = os.fstat(directory)
        here = (status.st_dev, status.st_ino)
        if here in above:
            self._notices.append(notices.loop_of_links(f"{self._tree.path}/{where}"))
            self._found.pop(where)
            return
        if len(above) > DEPTH_AT_MOST:
            self._notices.append(notices.too_deep(f"{self._tree.path}/{where}"))
            return
        below = above | {here}
        prefix = f"{where}/" if where else ""
        for name, status in _listed(directory):
            if not where and self._skip(name):
                continue
            relative = prefix + name
            link = stat.S_ISLNK(status.st_mode)
            # Every entry counts, including one left out. A link may have to be resolved from the top.
            self._count(1 + len(above) if link else 1)
            try:
                if link:
                    status = self._tree.status(relative) if linked else self._tree.status(name, directory)
            except OSError as error:
                self._pass_over(relative, error)
                continue
            entry = entry_of(status)
            if entry.kind is Kind.OTHER:
                self._notices.append(notices.not_a_file(f"{self._tree.path}/{relative}"))
                continue
            self._add(relative, entry)
            if entry.kind is Kind.DIRECTORY:
                self._waiting.append((relative, below, linked or link))

    def _open(self, where: str, linked: bool) -> tuple[int, bool]:
        """The directory, open, and whether a link led there. What lies behind a link is checked by its whole path."""
        if not linked:
            try:
                return self._trail.open(where), False
            except OSError:  # it has changed or is inaccessible: opening it by its whole path reports the error
                pass
        return self._trail.take(where, self._tree.open_directory(where)), True

    def _count(self, looks: int) -> None:
        self._looks += looks
        if self._looks > LOOKS_AT_MOST:
            raise refusals.config_too_large(self._tree.path, f"{LOOKS_AT_MOST} looks at its names")

    def _add(self, relative: str, entry: Entry) -> None:
        self._found[relative] = entry
        if entry.kind is Kind.FILE:
            self._bytes += entry.size
        if len(self._found) > ENTRIES_AT_MOST:
            raise refusals.config_too_large(self._tree.path, f"{ENTRIES_AT_MOST} entries")
        if self._bytes > BYTES_AT_MOST:
            raise refusals.config_too_large(self._tree.path, f"{BYTES_AT_MOST // 1024**3} GiB")

    def _pass_over(self, relative: str, error: OSError) -> None:
        self._notices.append(notices.left_out(f"{self._tree.path}/{relative}", reason(error)))


class Overgrown(Exception):
    """Below a top-level name, the isolated tree holds more than any configuration has."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


def scan_isolated(
    top: int, wanted: Callable[[str], bool], enter: Callable[[int, str], int] | None = None
) -> dict[str, Entry]:
    """Every entry below the open directory top by relative path, for the top-level names that wanted accepts.

    Links are not followed. An entry that vanishes meanwhile is left out: a session of the same user may be running.
    Must run as the owner. enter: opens a directory by name in an open one, instead of `directories.enter`. Raises
    Overgrown beyond the limits, OSError if a directory cannot be read.
    """
    found: dict[str, Entry] = {}
    for relative, status in walked(top, lambda name: name in found, enter):
        first, _, below = relative.partition("/")
        if not below and not wanted(first):
            continue
        found[relative] = entry_of(status)
        if below and (len(found) > ENTRIES_AT_MOST or below.count("/") > DEPTH_AT_MOST):
            raise Overgrown(first)
    return found


def walked(
    top: int, descend: Callable[[str], bool], enter: Callable[[int, str], int] | None = None
) -> Iterator[tuple[str, os.stat_result]]:
    """Every entry below the open directory top, as it is found: its relative path and lstat(2) result.

    Directories that descend accepts are entered after they are yielded. No link is followed. An entry that vanishes
    meanwhile is left out. enter: as for `scan_isolated`. Must run, and be exhausted, as the tree's owner. Raises
    OSError if a directory cannot be read.
    """
    waiting = [""]
    with Trail(top, enter or directories.enter) as trail:
        while waiting:
            where = waiting.pop()
            try:
                directory = trail.open(where)
            except OSError as error:
                if error.errno not in directories.GONE:
                    raise
                continue
            prefix = f"{where}/" if where else ""
            for name, status in _listed(directory):
                relative = prefix + name
                yield relative, status
                if stat.S_ISDIR(status.st_mode) and descend(relative):
                    waiting.append(relative)


def _listed(directory: int) -> Iterator[tuple[str, os.stat_result]]:
    with os.scandir(directory) as entries:
        for entry in entries:
            try:
                yield entry.name, entry.stat(follow_symlinks=False)
            except FileNotFoundError:  # removed meanwhile
                continue
