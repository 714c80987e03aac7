"""Looking at a tree of files: the host user's configuration as that user, the isolated one as the agent.

Two scans, two rules about links. In the host's tree they are followed, as Pi itself would (a home-manager
configuration is nothing but links), with one exception: a link that stands inside one of the user's project roots
may have been planted there by the agent, so it may lead only into that same root or into the store. In the isolated
tree nothing is ever followed.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Mapping
from enum import Enum

from pi_agent import files, paths, refusals
from pi_agent.records import record
from pi_agent.refusals import shown
from pi_agent.signature import Signature, signature_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

ENTRIES_AT_MOST: Final = 200_000
BYTES_AT_MOST: Final = 2 * 1024**3
DEPTH_AT_MOST: Final = 64
# Looks at names while a host's tree is scanned: links can make a small tree endless, and deep ways are long ways.
LOOKS_AT_MOST: Final = 400_000
STORE: Final = "/nix/store"
_KERNELS_OWN: Final = ("/dev", "/proc", "/sys")
# Nothing is waited for. Of what a user can make, none is changed by being opened like this.
_READ: Final = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY

Notice = Callable[[str], None]


class Kind(Enum):
    """What an entry is. Of OTHER (links, pipes, sockets, devices) only the isolated scan speaks."""

    FILE = "file"
    DIRECTORY = "directory"
    OTHER = "other"


_KINDS: Final = {stat.S_IFREG: Kind.FILE, stat.S_IFDIR: Kind.DIRECTORY}


@record
class Entry:
    """kind; mode: permission bits; signature: see signature.py."""

    kind: Kind
    mode: int
    signature: Signature

    @property
    def size(self) -> int:
        """In bytes."""
        return self.signature[1]


Tree = Mapping[str, Entry]


def entry_of(status: os.stat_result) -> Entry:
    """The entry that a stat result describes."""
    mode = status.st_mode
    return Entry(_KINDS.get(stat.S_IFMT(mode), Kind.OTHER), stat.S_IMODE(mode), signature_of(status))


class StrayLink(OSError):
    """A link leads where configuration has no business to be."""


@record
class HostTree:
    """The host user's configuration directory. All methods must run as that user.

    path: for messages. descriptor: the open directory. project_roots: real paths of the user's roots, made on demand
    (most configurations have no link to ask about).
    """

    path: str
    descriptor: int
    project_roots: Callable[[], tuple[str, ...]]

    def look(self, name: str, start: int | None = None) -> int:
        """Open (O_PATH) what the relative path name leads to. Raises OSError; StrayLink for a suspicious link.

        start: where name begins: an open directory of this tree that no link led to; the top when None.
        """
        suspects: list[str] = []
        followed = False

        def note(directory: int, _link: str) -> None:
            nonlocal followed
            followed = True
            here = paths.real_path(directory)
            suspects.extend(root for root in self.project_roots() if paths.contains(root, here))

        found = paths.walk(name, start=self.descriptor if start is None else start, on_link=note)
        if followed:
            try:
                _judge_landing(paths.real_path(found), suspects)
            except OSError:
                os.close(found)
                raise
        return found

    def status(self, name: str, start: int | None = None) -> os.stat_result:
        """What name leads to, as stat(2) says. start, and what it raises: as for `look`."""
        found = self.look(name, start)
        try:
            return os.fstat(found)
        finally:
            os.close(found)

    def open(self, name: str) -> int:
        """Open the regular file that name leads to for reading. Raises OSError, also for anything not a file."""
        found = self.look(name)
        try:
            if not stat.S_ISREG(os.fstat(found).st_mode):
                raise OSError(0, "it is not a regular file")
            return paths.reopen(found, _READ)
        finally:
            os.close(found)

    def open_along(self, trail: files.Trail, name: str) -> int:
        """As `open`, for one file after another. trail: one of this tree, that follows no link."""
        folder, _, last = name.rpartition("/")
        try:
            descriptor = os.open(last, _READ | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=trail.open(folder))
        except OSError:  # a link is on the way, or there is something to say about it
            return self.open(name)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise OSError(0, "it is not a regular file")
        return descriptor

    def open_directory(self, name: str) -> int:
        """Open the directory that name leads to for listing. Raises OSError."""
        found = self.look(name)
        try:
            return paths.reopen(found, os.O_RDONLY | os.O_DIRECTORY)
        finally:
            os.close(found)


def _judge_landing(landed: str, suspects: list[str]) -> None:
    """Refuse where a link led: into the kernel's own file systems, where files are live and `self` is this process,
    or out of the project root that the link stands in (suspects)."""
    if any(paths.contains(place, landed) for place in _KERNELS_OWN):
        raise StrayLink(0, "a link leads into the kernel's own files")
    if not paths.contains(STORE, landed) and not all(paths.contains(root, landed) for root in suspects):
        raise StrayLink(0, "a link inside a project root leads out of it")


def scan_host(tree: HostTree, skip: Callable[[str], bool], notice: Notice) -> dict[str, Entry]:
    """Every file and directory of the host's tree by relative path, without the top-level names that skip refuses.

    What cannot be copied (a pipe, a socket, a device, a loop of links, a file out of the user's reach) is passed over
    with a notice that names it. Raises Refusal (65) past the limits or when the top cannot be listed.
    """
    try:
        top = tree.open_directory("")
    except OSError as error:
        raise refusals.config_unreadable(tree.path, error.strerror or str(error)) from error
    try:
        with files.Trail(top, files.peek) as trail:
            return _HostScan(tree, trail, skip, notice).run()
    finally:
        os.close(top)


class _HostScan:
    """One scan of a host's tree."""

    def __init__(self, tree: HostTree, trail: files.Trail, skip: Callable[[str], bool], notice: Notice) -> None:
        self._tree = tree
        self._trail = trail
        self._skip = skip
        self._notice = notice
        self._found: dict[str, Entry] = {}
        self._bytes = self._looks = 0
        # Directories to look into: the name, what the kernel calls those above, and whether a link led there.
        self._waiting: list[tuple[str, frozenset[tuple[int, int]], bool]] = [("", frozenset(), False)]

    def run(self) -> dict[str, Entry]:
        while self._waiting:
            where, above, linked = self._waiting.pop()
            self._looks += len(above)
            try:
                self._look_into(where, above, linked)
            except OSError as error:  # also when its names can be listed, and nothing behind them be looked at
                if not where:
                    raise refusals.config_unreadable(self._tree.path, error.strerror or str(error)) from error
                self._pass_over(where, error)
        return self._found

    def _look_into(self, where: str, above: frozenset[tuple[int, int]], linked: bool) -> None:
        notice = self._notice
        directory, linked = self._open(where, linked)
        status = os.fstat(directory)
        here = (status.st_dev, status.st_ino)
        if here in above:
            notice(f"{shown(self._tree.path)}/{shown(where)} is a loop of links and was left out")
            self._found.pop(where)
            return
        if len(above) > DEPTH_AT_MOST:
            notice(f"{shown(self._tree.path)}/{shown(where)} lies too deep; what is in it was left out")
            return
        below = above | {here}
        prefix = f"{where}/" if where else ""
        for name, status in _listed(directory):
            if not where and self._skip(name):
                continue
            relative = prefix + name
            link = stat.S_ISLNK(status.st_mode)
            # Whatever it is, also what is passed over; a link may have to be walked to from the top.
            self._count(1 + len(above) if link else 1)
            try:
                if link:
                    status = self._tree.status(relative) if linked else self._tree.status(name, directory)
            except OSError as error:
                self._pass_over(relative, error)
                continue
            entry = entry_of(status)
            if entry.kind is Kind.OTHER:
                notice(f"{shown(self._tree.path)}/{shown(relative)} is a pipe, socket or device; it was left out")
                continue
            self._add(relative, entry)
            if entry.kind is Kind.DIRECTORY:
                self._waiting.append((relative, below, linked or link))

    def _open(self, where: str, linked: bool) -> tuple[int, bool]:
        """The directory, open, and whether a link led there: what lies behind one is judged by its whole way."""
        if not linked:
            try:
                return self._trail.open(where), False
            except OSError:  # it is something else by now, or closed: the long way says what there is to say
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
        why = error.strerror or error
        self._notice(f"{shown(self._tree.path)}/{shown(relative)} was left out: {why}")


class Overgrown(Exception):
    """Below a top-level name of the isolated tree there is more than any configuration has."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


def scan_isolated(
    top: int, wanted: Callable[[str], bool], enter: Callable[[int, str], int] | None = None
) -> dict[str, Entry]:
    """Every entry below the open directory top by relative path, of the top-level names that wanted accepts.

    Links are not followed; what vanishes meanwhile (a session of the same user may be running) is not there. Must run
    as the agent. enter: opens a directory by its name in an open one, in place of `files.enter`. Raises Overgrown past
    the limits, OSError when a directory cannot be read.
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
    """Every entry below the open directory top by relative path, as it is found, with what lstat(2) says of it.

    Directories that descend accepts are gone into, after they were given. No link is followed; what vanishes meanwhile
    is not there. enter: as for `scan_isolated`. Must run, and be used up, as the tree's owner. Raises OSError when a
    directory cannot be read.
    """
    waiting = [""]
    with files.Trail(top, enter or files.enter) as trail:
        while waiting:
            where = waiting.pop()
            try:
                directory = trail.open(where)
            except OSError as error:
                if error.errno not in files.GONE:
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
            except FileNotFoundError:  # removed while we were looking
                continue
