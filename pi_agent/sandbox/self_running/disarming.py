"""Disarms files that run by themselves, as the host user, so that nothing is lost.

From a git configuration, the settings that run something are removed; a copy of it as it was stays beside it. Any other
file is renamed. Root opens the directory, beneath the project's root and through no link; the host user renames in it.
No name is ever overwritten, and what was renamed is verified to be what was judged. Another session of the host user
may be writing there meanwhile: what keeps changing is told.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from functools import partial

from pi_agent.linux import beneath, renaming
from pi_agent.linux.errors import reason
from pi_agent.linux.identities import acting_as
from pi_agent.messages import self_running_texts as texts
from pi_agent.policy.policy_file import Tools
from pi_agent.python.records import record
from pi_agent.python.standard import contextmanager, suppress
from pi_agent.sandbox.self_running import git_reading, rules, seeing
from pi_agent.sandbox.self_running.judgement import Item
from pi_agent.sandbox.self_running.seeing import Ground

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Final

    from pi_agent.sandbox.self_running.git_reading import Pair

_ATTEMPTS: Final = 3
_NAME_AT_MOST: Final = 200  # bytes; leaves room for a suffix within the 255 bytes of a file name
# Directories in which every file counts, whatever its name.
_LOADED_WHOLE: Final = (".mise/tasks/", ".config/mise/tasks/", "mise/tasks/")


@record
class Outcome:
    """kept: the path of the file, or of the copy of the configuration, below the root; None if it is not disarmed.

    why: then; empty if the file is gone.
    """

    item: Item
    kept: str | None
    why: str = ""


class _Changing(Exception):
    """Something else is there than was judged."""


def disarm(ground: Ground, tools: Tools, item: Item) -> Outcome:
    """Disarm a file. Never raises OSError: what cannot be disarmed says why."""
    if any(place in f"/{item.path}" for place in _LOADED_WHOLE):
        return Outcome(item, None, texts.LOADED_WHOLE)
    folder, _, name = item.real.rpartition("/")
    try:
        with _opened(ground, folder) as directory:
            kept = _disarmed(ground, tools, item, directory, name)
    except FileNotFoundError:
        return Outcome(item, None)
    except _Changing:
        return Outcome(item, None, texts.KEEPS_CHANGING)
    except OSError as error:
        return Outcome(item, None, reason(error))
    return Outcome(item, f"{folder}/{kept}" if folder else kept)


@contextmanager
def _opened(ground: Ground, folder: str) -> Iterator[int]:
    directory = beneath.opened(ground.top, folder, os.O_PATH | os.O_DIRECTORY)
    try:
        yield directory
    finally:
        os.close(directory)


def _disarmed(ground: Ground, tools: Tools, item: Item, directory: int, name: str) -> str:
    """Disarm the name in the directory, and return under which name the file is kept."""
    if item.rule.kind == rules.CONFIGURATION and item.keys:
        for _ in range(_ATTEMPTS):
            wanted = _without(ground, tools, item.keys, directory, name)
            if wanted is None:
                break
            try:
                return _replace(ground, directory, name, *wanted)
            except _Changing:
                continue
        else:
            raise _Changing
    return _away(ground, directory, name, item.found)


def _without(
    ground: Ground, tools: Tools, keys: tuple[Pair, ...], directory: int, name: str
) -> tuple[bytes, os.stat_result] | None:
    """The configuration without these settings, as git reads it, and the file that it was made from.

    None if git does not read what we would write, or if nothing can be read.
    """
    looked = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
    try:
        status = os.fstat(looked)
        content = seeing.content_of(ground, looked)
    finally:
        os.close(looked)
    pairs = None if content is None else git_reading.read(tools, content)
    if pairs is None:
        return None
    rest = [pair for pair in pairs if pair not in keys]
    text = git_reading.written(rest)
    return (text, status) if git_reading.read(tools, text) == rest else None


def _replace(ground: Ground, directory: int, name: str, text: bytes, was: os.stat_result) -> str:
    """Put a new file in the place of what was there, and return under which name that is kept."""
    new = f".pi-agent-{os.urandom(8).hex()}"
    with acting_as(ground.caller):
        _permitting(directory, lambda: _write(directory, new, text, stat.S_IMODE(was.st_mode)))
    try:
        kept = _away(ground, directory, name, (was.st_dev, was.st_ino))
        with acting_as(ground.caller):
            now = os.stat(kept, dir_fd=directory, follow_symlinks=False)
            if (now.st_size, now.st_mtime_ns) != (was.st_size, was.st_mtime_ns):
                renaming.rename(directory, kept, name)
                raise _Changing
            try:
                renaming.rename(directory, new, name)
            except FileExistsError as error:
                raise _Changing from error
        return kept
    finally:
        with acting_as(ground.caller), suppress(OSError):
            os.unlink(new, dir_fd=directory)


def _write(directory: int, name: str, text: bytes, mode: int) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(name, flags, 0o600, dir_fd=directory)
    with open(descriptor, "wb") as file:
        file.write(text)
        os.fchmod(descriptor, mode & 0o777)


def _away(ground: Ground, directory: int, name: str, found: tuple[int, int] | None) -> str:
    """Rename what is there, and return its new name. Raises _Changing if it is something else, or is there again."""
    short = os.fsdecode(os.fsencode(name)[:_NAME_AT_MOST])
    kept = ""
    with acting_as(ground.caller):
        for _ in range(_ATTEMPTS):
            kept = f"{short}{rules.DISARMED}{time.time_ns()}"
            _permitting(directory, partial(renaming.rename, directory, name, kept))
            status = os.stat(kept, dir_fd=directory, follow_symlinks=False)
            if (status.st_dev, status.st_ino) != found:
                with suppress(FileExistsError):
                    renaming.rename(directory, kept, name)
                raise _Changing
            try:
                again = os.stat(name, dir_fd=directory, follow_symlinks=False)
            except FileNotFoundError:
                return kept
            found = (again.st_dev, again.st_ino)
    raise _Changing


def _permitting(directory: int, act: Callable[[], None]) -> None:
    """Do something in the directory, and if its owner has closed it, once more after it is opened."""
    try:
        act()
    except OSError as error:
        if error.errno != errno.EACCES:
            raise
        renaming.make_writable(directory)
        act()
