"""How root sees a project: by descriptor, through every permission, and only what is in it.

Runs as root and changes nothing. The agent and the host user control all that is here. So no link is followed out of
the project, no special file is opened, and what is read is bounded. Where the file system keeps even root out (NFS),
the host user's own rights are tried.
"""

from __future__ import annotations

import errno
import os
import stat

from pi_agent.linux import files, mount_api, paths
from pi_agent.linux.identities import Identity, acting_as
from pi_agent.messages import reasons
from pi_agent.python import json_reader
from pi_agent.python.records import record
from pi_agent.sandbox.self_running import git_reading, rules

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final

    from pi_agent.sandbox.self_running.rules import Rule

_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
COMPARED_BY_CONTENT: Final = (rules.CONFIGURATION, rules.PARTLY)
_NAMES_AT_MOST: Final = 1_000_000  # in one directory
_CONTENT_AT_MOST: Final = 1 << 18  # bytes of a git configuration or a package.json


@record
class Ground:
    """A project. top: its root, open; root: its path on the host; caller: the host user."""

    top: int
    root: str
    caller: Identity


def opened(descriptor: int) -> int:
    """The root of a project as a session sees it: without what is mounted below. descriptor: of the root.

    Where something is mounted, the agent can write to the directory below, which the host user does not see.
    """
    try:
        return mount_api.clone(descriptor)
    except OSError:  # not root, or not in the mount namespace of the descriptor
        return os.dup(descriptor)


def directory(ground: Ground, parent: int, name: str) -> int:
    """Open the directory name in the open directory parent, for listing. Raises OSError."""
    try:
        return os.open(name, _DIRECTORY, dir_fd=parent)
    except PermissionError:
        with acting_as(ground.caller):
            return os.open(name, _DIRECTORY, dir_fd=parent)


def listed(descriptor: int) -> tuple[list[str], list[str]]:
    """The names of directories in an open directory, and all other names. Raises OSError."""
    folders: list[str] = []
    others: list[str] = []
    with os.scandir(descriptor) as entries:
        for number, entry in enumerate(entries):
            if number >= _NAMES_AT_MOST:
                raise OSError(errno.E2BIG, reasons.MORE_THAN_IS_LOOKED_AT)
            (folders if entry.is_dir(follow_symlinks=False) else others).append(entry.name)
    return folders, others


def names(ground: Ground, looked: int) -> list[str]:
    """The names in a directory that is open (O_PATH); none if it cannot be listed."""
    try:
        descriptor = reopened(ground, looked, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return []
    try:
        return os.listdir(descriptor)
    finally:
        os.close(descriptor)


def content(ground: Ground, parent: int, name: str) -> bytes | None:
    """The content of a regular file in an open directory; None if it cannot be read, or is too large."""
    try:
        looked = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
    except OSError:
        return None
    try:
        return content_of(ground, looked)
    finally:
        os.close(looked)


def content_of(ground: Ground, looked: int) -> bytes | None:
    """The same of an open file (O_PATH)."""
    if not stat.S_ISREG(os.fstat(looked).st_mode):
        return None
    try:
        descriptor = reopened(ground, looked, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        return files.read(descriptor, _CONTENT_AT_MOST)
    except (OSError, ValueError):
        return None
    finally:
        os.close(descriptor)


def reopened(ground: Ground, looked: int, flags: int) -> int:
    """A descriptor of the same object (O_PATH), opened with flags. Raises OSError."""
    try:
        return paths.reopen(looked, flags)
    except PermissionError:
        with acting_as(ground.caller):
            return paths.reopen(looked, flags)


def matters(rule: Rule, content: bytes | None) -> Any:
    """What of a file's content is compared; None if it cannot be told. A pure function.

    Of a git configuration, the content if anything in it may run; of JSON that runs partly, the parts that do.
    """
    if content is None:
        return None
    if rule.kind == rules.CONFIGURATION:
        return b"" if git_reading.is_plain(content) else content
    try:
        value = json_reader.loads(content)
    except (ValueError, RecursionError):
        return None
    return {part: value[part] for part in rule.parts if part in value} if isinstance(value, dict) else {}


def target(ground: Ground, path: str) -> tuple[int, str] | None:
    """What a path with links in it leads to inside the project: a descriptor (O_PATH) and its path below the root.

    None if it leads out, or nowhere.
    """
    try:
        return walked(ground, path)
    except OSError:
        return None


def walked(ground: Ground, path: str) -> tuple[int, str]:
    """The same. Raises OSError, EXDEV if it leads out."""
    try:
        looked = paths.walk_inside(ground.top, ground.root, path)
    except PermissionError:
        with acting_as(ground.caller):
            looked = paths.walk_inside(ground.top, ground.root, path)
    top, real = paths.real_path(ground.top), paths.real_path(looked)
    return looked, os.path.relpath(real, top) if real != top else ""
