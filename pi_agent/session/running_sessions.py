"""The sessions that run, for the commands of their user: each is described by its runner in its staging directory.

Staging directories are root's, and a user's lie apart by uid: who is given the sessions of one uid sees no other's.
"""

from __future__ import annotations

import fcntl
import os

from pi_agent.python.records import record
from pi_agent.session import session_directory, session_names
from pi_agent.session.session_names import Session

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

_ID_LENGTH: Final = 8  # of 16 hexadecimal digits
_AT_MOST: Final = 1 << 14  # bytes; two paths and a number


@record
class RunningSession:
    """A session that goes on. id: what its user calls it. since: seconds since the epoch. root: the project root, None
    for one without a project; directory: where it was started. What is not known yet, as it is just being made, is
    None."""

    session: Session
    id: str
    since: float | None
    root: str | None
    directory: str | None


def describe(since: float, root: str | None, directory: str) -> bytes:
    """The content of the file that says what a session is. Paths may hold any bytes but NUL."""
    return b"\0".join([str(int(since)).encode(), os.fsencode(root or ""), os.fsencode(directory)])


def of_user(uid: int) -> list[RunningSession]:
    """The live sessions of the host user with this uid, oldest first. Raises Refusal (69)."""
    found = [_read(each) for each in session_directory.all_of(uid) if is_running(each)]
    return sorted(found, key=lambda each: (each.since or 0, each.id))


def is_running(own: Session) -> bool:
    """Whether somebody takes care of the session: its runner, or its guard."""
    try:
        lock = os.open(own.lock, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False


def attended_and_abandoned() -> tuple[set[str], set[str]]:
    """The units of the sessions that are staged now: those that somebody takes care of, and those that nobody does.

    A session that is just being made, or cleaned up, may be among the latter for a moment. Changes nothing.
    """
    attended, unattended = set[str](), set[str]()
    for place in _names(session_names.STAGING):
        for name in _names(f"{session_names.STAGING}/{place}"):
            own = session_names.called(f"{session_names.STAGING}/{place}", name)
            (attended if is_running(own) else unattended).add(own.unit)
    return attended, unattended


def _names(directory: str) -> list[str]:
    try:
        return os.listdir(directory)
    except (FileNotFoundError, NotADirectoryError):
        return []


def _read(own: Session) -> RunningSession:
    name = own.unit.removesuffix(".service").rpartition("-")[2][:_ID_LENGTH]
    try:
        with open(own.about, "rb") as file:
            since, root, directory = file.read(_AT_MOST).split(b"\0")
        return RunningSession(own, name, int(since), os.fsdecode(root) or None, os.fsdecode(directory))
    except (FileNotFoundError, ValueError):  # about to be written, or just removed
        return RunningSession(own, name, None, None, None)
