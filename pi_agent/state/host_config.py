"""The host user's Pi configuration, read as that user.

Links are followed, as Pi itself does (a home-manager configuration consists of links). There is one exception: the
agent may have planted a link inside one of the user's project roots, so such a link may lead only into that same root
or into the store. No link may lead into the kernel's own file systems.
"""

from __future__ import annotations

import os
import stat

from pi_agent.linux import paths
from pi_agent.linux.directories import Trail
from pi_agent.linux.identities import Identity
from pi_agent.messages import reasons, refusals
from pi_agent.policy.policy_file import Policy
from pi_agent.policy.project_roots import expanded
from pi_agent.python.records import record
from pi_agent.python.standard import cache

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final

STORE: Final = "/nix/store"
_SHARED_SKILLS: Final = ".agents/skills"
_KERNELS_OWN: Final = ("/dev", "/proc", "/sys")
# Opening a file this way never blocks, and changes nothing that a user can create.
_READ: Final = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY


class StrayLink(OSError):
    """A link leads to a place that configuration must not come from."""


@record
class HostTree:
    """The host user's configuration directory. All methods must run as that user.

    path: for messages. descriptor: the open directory. project_roots: returns the real paths of the user's roots. It is
    called only when needed: most configurations have no link to check.
    """

    path: str
    descriptor: int
    project_roots: Callable[[], tuple[str, ...]]

    def look(self, name: str, start: int | None = None) -> int:
        """Open (O_PATH) what the relative path name leads to. Raises OSError; StrayLink for a suspicious link.

        start: the directory in which name begins: an open directory of this tree that no link led to; the top if None.
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
        """The stat(2) result for what name leads to. start and errors: as for `look`."""
        found = self.look(name, start)
        try:
            return os.fstat(found)
        finally:
            os.close(found)

    def open(self, name: str) -> int:
        """Open the regular file that name leads to, for reading. Raises OSError, also for anything else."""
        found = self.look(name)
        try:
            if not stat.S_ISREG(os.fstat(found).st_mode):
                raise OSError(0, reasons.NOT_A_REGULAR_FILE)
            return paths.reopen(found, _READ)
        finally:
            os.close(found)

    def open_along(self, trail: Trail, name: str) -> int:
        """As `open`, for a series of files. trail: of this tree, following no link."""
        folder, _, last = name.rpartition("/")
        try:
            descriptor = os.open(last, _READ | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=trail.open(folder))
        except OSError:  # a link is on the way, or `open` has an error to report
            return self.open(name)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise OSError(0, reasons.NOT_A_REGULAR_FILE)
        return descriptor

    def open_directory(self, name: str) -> int:
        """Open the directory that name leads to, for listing. Raises OSError."""
        found = self.look(name)
        try:
            return paths.reopen(found, os.O_RDONLY | os.O_DIRECTORY)
        finally:
            os.close(found)


def _judge_landing(landed: str, suspects: list[str]) -> None:
    """Raise StrayLink if a link led to a forbidden place.

    Forbidden are the kernel's own file systems, where files are live and `self` is this process, and places outside the
    project root that holds the link (suspects).
    """
    if any(paths.contains(place, landed) for place in _KERNELS_OWN):
        raise StrayLink(0, reasons.LINK_INTO_KERNEL)
    if not paths.contains(STORE, landed) and not all(paths.contains(root, landed) for root in suspects):
        raise StrayLink(0, reasons.LINK_OUT_OF_ROOT)


def open_host_config(policy: Policy, caller: Identity) -> HostTree | None:
    """The caller's configuration directory, open; None if sync is off or the directory does not exist.

    Must run as the caller. Raises Refusal (65) if it is not a directory or is inaccessible.
    """
    path = expanded(policy.host_users[caller.name].config_path, caller.home)
    try:
        return _opened(policy, caller, path) if policy.sync_config_from_host else None
    except NotADirectoryError as error:
        raise refusals.config_not_a_directory(os.path.normpath(os.path.join(caller.home, path))) from error


def open_shared_skills(policy: Policy, caller: Identity) -> HostTree | None:
    """The caller's `~/.agents/skills`, open; None if sync is off or there is no such directory.

    Must run as the caller. Raises Refusal (65) if it is inaccessible.
    """
    try:
        return _opened(policy, caller, _SHARED_SKILLS) if policy.sync_config_from_host else None
    except NotADirectoryError:  # Pi finds no skills there either
        return None


def _opened(policy: Policy, caller: Identity, place: str) -> HostTree | None:
    """A directory of the caller's, open; None if it does not exist. A relative place begins at the home.

    Raises NotADirectoryError, and Refusal (65) if it is inaccessible.
    """
    path = os.path.normpath(os.path.join(caller.home, place))

    @cache
    def roots() -> tuple[str, ...]:
        configured = policy.host_users[caller.name].project_roots
        return tuple(os.path.realpath(expanded(root, caller.home)) for root in configured)

    whole = HostTree(path, os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC), roots)
    descriptor = None
    try:
        descriptor = whole.look(path)
        os.close(paths.reopen(descriptor, os.O_RDONLY | os.O_DIRECTORY))
        found, descriptor = HostTree(path, descriptor, roots), None
        return found
    except FileNotFoundError:
        return None
    except NotADirectoryError:
        raise
    except OSError as error:
        raise refusals.config_unreadable(path, error.strerror or str(error)) from error
    finally:
        os.close(whole.descriptor)
        if descriptor is not None:
            os.close(descriptor)
