"""Finds the allowed root that holds the caller's working directory.

Runs as root in the runner and as the host user in the wrapper. Every path is looked up as the host user. The root is
held by descriptor from here on, so a later rename does not change what is mounted.

A root may be reached through a symbolic link only if root alone can change that link. Otherwise the host user could
point an allowed name at any directory and widen the policy.
"""

from __future__ import annotations

import errno
import os
import stat

from pi_agent.linux import errors, paths
from pi_agent.linux.identities import Identity, acting_as
from pi_agent.messages import reasons, refusals
from pi_agent.messages.refusal import Refusal
from pi_agent.policy.policy_file import Policy
from pi_agent.policy.shared import RESERVED_PATHS
from pi_agent.python.records import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

# The sandbox provides these itself: a root there would hide one or be hidden.
RESERVED: Final = RESERVED_PATHS


@record
class Project:
    """root: the allowed root's real path; descriptor: the root, open (O_PATH); directory: where Pi starts."""

    root: str
    descriptor: int
    directory: str


def locate(policy: Policy, caller: Identity) -> Project:
    """The caller's innermost root that holds the current directory.

    Raises Refusal: 77 if no root does or the directory is gone, 78 if the root itself cannot be used.
    """
    configured = policy.host_users[caller.name].project_roots
    with acting_as(caller):
        directory = _current_directory()
        roots = [expanded(root, caller.home) for root in configured]
        notes: list[str] = []
        found = _innermost(_opened(roots, notes), directory)
    if found is None:
        proposed = _proposal(directory, caller, policy)
        raise refusals.outside_roots(caller.name, directory, configured, proposed, dict.fromkeys(notes))
    root, descriptor = found
    _check_mountable(root, policy)
    return Project(root, descriptor, directory)


@record
class Root:
    """One of a host user's roots.

    configured: as in the policy; path: the real path; descriptor: the root, open. path and descriptor are None if it
    cannot be opened. why: the reason that it cannot be used, or None.
    """

    configured: str
    path: str | None
    descriptor: int | None
    why: str | None


def survey(policy: Policy, caller: Identity) -> list[Root]:
    """All of the caller's roots, each as `locate` sees it."""
    found = []
    for configured in policy.host_users[caller.name].project_roots:
        path = descriptor = why = None
        try:
            with acting_as(caller):
                path, descriptor = _open(expanded(configured, caller.home))
            _check_mountable(path, policy)
        except _Redirectable as error:
            why = reasons.link_redirected_by_others(error.link)
        except OSError as error:
            why = error.strerror or str(error)
        except Refusal as refusal:
            why = refusal.what
        found.append(Root(configured, path, descriptor, why))
    return found


def expanded(root: str, home: str) -> str:
    """A root from the policy, with a leading `~` replaced by home."""
    return home + root[1:] if root == "~" or root.startswith("~/") else root


def _current_directory() -> str:
    """The kernel's path of the current directory. Raises Refusal (77) if that path no longer leads to it."""
    path = "."
    try:
        here = os.open(".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            path = paths.real_path(here)
            if not os.path.samestat(os.fstat(here), os.stat(path)):
                raise refusals.directory_gone(path)
            return path
        finally:
            os.close(here)
    except OSError as error:
        if error.errno in errors.MACHINE_FAULTS:
            raise
        raise refusals.directory_gone(path) from error


def _opened(roots: list[str], notes: list[str]) -> Iterator[tuple[str, int]]:
    """Open each root that is a directory within the caller's reach. Add to notes why a root was ignored."""
    for root in roots:
        try:
            yield _open(root)
        except _Redirectable as error:
            notes.append(refusals.root_ignored(root, error.link))
        except OSError:
            continue


def _open(root: str) -> tuple[str, int]:
    """The root's real path, and the root, open. Raises OSError or _Redirectable."""
    descriptor = paths.walk(root, on_link=_only_roots_links)
    if not stat.S_ISDIR(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), root)
    return paths.real_path(descriptor), descriptor


class _Redirectable(Exception):
    def __init__(self, link: str) -> None:
        super().__init__(link)
        self.link = link


def _only_roots_links(directory: int, name: str) -> None:
    if not paths.only_root_changes(directory):
        raise _Redirectable(f"{paths.real_path(directory)}/{name}")


def _innermost(opened: Iterator[tuple[str, int]], directory: str) -> tuple[str, int] | None:
    best: tuple[str, int] | None = None
    for root, descriptor in opened:
        if paths.contains(root, directory) and (best is None or len(root) > len(best[0])):
            if best is not None:
                os.close(best[1])
            best = (root, descriptor)
        else:
            os.close(descriptor)
    return best


def _proposal(directory: str, caller: Identity, policy: Policy) -> str | None:
    """The root to suggest: directory, but never a whole home, which holds secrets. None if it cannot be one."""
    try:
        _check_mountable(directory, policy)
    except Refusal:
        return None
    proposed = "~/projects" if paths.contains(directory, caller.home) else directory
    return None if proposed in policy.host_users[caller.name].project_roots else proposed


def _check_mountable(root: str, policy: Policy) -> None:
    for reserved in (*RESERVED, policy.state_dir, policy.sync_dir):
        if paths.contains(reserved, root) or paths.contains(root, reserved):
            raise refusals.root_reserved(root, reserved)
    if not root.isprintable():
        raise refusals.root_unmountable(root)
