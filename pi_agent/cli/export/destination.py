"""The directory that transcripts are copied to, which the caller chose. Everything here must run as the caller.

On the way to it, a link is followed only if nobody but root and the caller can change it: what is in a project looks
like the caller's, and the agent may have put it there. Below it no link is followed.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from pi_agent.linux import directories, paths
from pi_agent.linux.errors import reason
from pi_agent.linux.identities import Identity
from pi_agent.messages import command_output
from pi_agent.messages.quoting import escaped
from pi_agent.policy import project_roots
from pi_agent.policy.policy_file import Policy

_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def name_of_copy(transcript: str) -> str:
    """The relative path of a transcript's copy: without characters that a terminal would obey, or that are not text.

    What Pi makes keeps its name. Names that differ stay different.
    """
    return "/".join(escaped(part) for part in transcript.split("/"))


def agent_writable(policy: Policy, caller: Identity) -> tuple[str, ...]:
    """The directories where an agent of the caller may have put a link that looks like the caller's own."""
    roots = [project_roots.expanded(root, caller.home) for root in policy.host_users[caller.name].project_roots]
    return tuple(os.path.realpath(path) for path in [*roots, *policy.sandbox.read_write_paths])


def open_directory(path: str, caller: Identity, agents: Sequence[str]) -> int:
    """Open the directory of that absolute path. It is made if it is missing, and so are those above it.

    agents: directories in which no link is followed. Raises OSError.
    """

    def refuse_others(directory: int, _link: str) -> None:
        here = paths.real_path(directory)
        if not paths.only_root_changes(directory, caller.uid) or any(paths.contains(place, here) for place in agents):
            raise OSError(errno.ELOOP, command_output.LINK_CHANGED_BY_OTHERS)

    names = [part for part in path.split("/") if part]
    missing: list[str] = []
    while True:
        try:
            found = paths.walk("/" + "/".join(names), on_link=refuse_others)
            break
        except FileNotFoundError:
            if not names:
                raise
            missing.append(names.pop())
    try:
        here = paths.reopen(found, _DIRECTORY & ~os.O_NOFOLLOW)
    finally:
        os.close(found)
    try:
        return open_below(here, "/".join(reversed(missing)))
    finally:
        os.close(here)


def open_below(directory: int, relative: str) -> int:
    """Open a directory below an open one, made if it is missing. Raises OSError for a link or a file."""
    return directories.descend(directory, relative, make_and_open)


def make_and_open(parent: int, name: str) -> int:
    """Open the directory of that name, made if it is missing. Raises OSError for a link or a file."""
    with suppress(FileExistsError):
        os.mkdir(name, 0o700, dir_fd=parent)
    return os.open(name, _DIRECTORY, dir_fd=parent)


def status(directory: int, name: str) -> os.stat_result | None:
    """The status of what is at a relative path below the directory, if anything. Raises OSError."""
    folder = open_below(directory, os.path.dirname(name))
    try:
        return os.stat(os.path.basename(name), dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None
    finally:
        os.close(folder)


def unusable(directory: int, relative: str) -> str:
    """Why nothing can be put into a directory below the open one; empty if it can."""
    try:
        os.close(open_below(directory, relative))
    except OSError as error:
        return reason(error)
    return ""
