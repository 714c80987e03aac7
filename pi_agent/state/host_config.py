"""Looking at a tree of files: the host user's configuration as that user, the isolated one as the agent.

Two scans, two rules about links. In the host's tree they are followed, as Pi itself would (a home-manager
configuration is nothing but links), with one exception: a link that stands inside one of the user's project roots
may have been planted there by the agent, so it may lead only into that same root or into the store. In the isolated
tree nothing is ever followed.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable

from pi_agent.linux import directories, paths
from pi_agent.python.records import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

STORE: Final = "/nix/store"

_KERNELS_OWN: Final = ("/dev", "/proc", "/sys")

# Nothing is waited for. Of what a user can make, none is changed by being opened like this.
_READ: Final = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY


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

    def open_along(self, trail: directories.Trail, name: str) -> int:
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
