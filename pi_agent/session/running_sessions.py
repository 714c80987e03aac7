"""Running sessions, for the commands of their user. The runner describes each in its directory.

Staging directories belong to root, and each user's lie in a directory of their own. A list of the sessions of one uid
therefore shows no other user's.
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
    """A session that is running.

    id: what its user calls it. since: seconds since the epoch. root: the project root, None for a session without a
    project. directory: where it was started. While a session is being made, what is not known yet is None.
    """

    session: Session
    id: str
    since: float | None
    root: str | None
    directory: str | None


def describe(since: float, root: str | None, directory: str) -> bytes:
    """The content of the file that describes a session. since: as of RunningSession. Paths hold any byte but NUL."""
    return b"\0".join([str(int(since)).encode(), os.fsencode(root or ""), os.fsencode(directory)])


def of_user(uid: int) -> list[RunningSession]:
    """The running sessions of the host user with this uid, oldest first. Raises Refusal (69)."""
    found = [_read(each) for each in session_directory.all_of(uid) if is_running(each)]
    return sorted(found, key=lambda each: (each.since or 0, each.id))


def is_running(own: Session) -> bool:
    """Whether a runner or a guard takes care of the session."""
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
    """The units of sessions with a directory: those that a runner or guard takes care of, and those that none does.

    A session that is being made or cleaned up may be among the latter for a moment. Changes nothing.
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
