"""A session's directory: made, filled, removed, and swept when no runner or guard takes care of it any more.

Runs as root. Everything that a session has on the host is in its directory and its unit. The directory's lock
is held as long as a runner or guard takes care of both. If the lock is free, runner and guard were killed at once, and
the next launch of the same user removes the directory.
"""

from __future__ import annotations

import fcntl
import os
import stat

from pi_agent.linux.errors import reason
from pi_agent.messages import reasons, refusals
from pi_agent.messages.refusal import Refusal
from pi_agent.policy.policy_file import Tools
from pi_agent.python.standard import suppress
from pi_agent.session import session_names, systemctl
from pi_agent.session.session_names import Session, called

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def all_of(uid: int) -> list[Session]:
    """The sessions of the host user with this uid that have a directory, running or not, in no order.

    Raises Refusal (69) if others than root can enter that place.
    """
    place = f"{session_names.STAGING}/{uid}"
    for directory in (session_names.STAGING, place):
        check_private(directory)
    try:
        names = os.listdir(place)
    except FileNotFoundError:
        return []
    return [called(place, name) for name in names]


def others(session: Session) -> int:
    """How many sessions the same host user has besides, also those that are starting or ending. Raises OSError."""
    return max(0, len(os.listdir(os.path.dirname(session.directory))) - 1)


def sweep(tools: Tools, uid: int) -> None:
    """Clean up what dead runners of the user with this uid left. Raises Refusal (69) if that fails."""
    for session in all_of(uid):
        sweep_one(tools, session)


def create(tools: Tools, session: Session) -> int:
    """Sweep what dead runners of this user left, then make the session's directory and return its lock.

    Each user has a directory of sessions, so that no user can keep another waiting.
    """
    _make_private(session_names.STAGING)
    place = os.path.dirname(session.directory)
    # Held while making and sweeping, so that no session is ever seen without its lock.
    top = _locked(place)
    try:
        for name in os.listdir(top):
            try:
                sweep_one(tools, called(place, name))
            except (OSError, Refusal):  # what cannot be removed now is no reason to refuse a launch
                continue
        os.mkdir(session.directory, 0o700)
        lock = os.open(session.lock, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX)
        return lock
    finally:
        os.close(top)


def fill(session: Session, about: bytes) -> None:
    """Make what the unit opens and `--sandbox-status` reads. Raises Refusal (69).

    about: see running_sessions.describe.
    """
    try:
        for path, content in ((session.about, about), (session.request, b"")):
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with open(descriptor, "wb") as file:
                file.write(content)
        os.mkfifo(session.report, 0o600)
    except OSError as error:
        raise refusals.staging_failed(session.directory, reason(error)) from error


def _locked(place: str) -> int:
    """Make and lock a user's directory, and return its descriptor."""
    while True:
        try:
            _make_private(place)
            top = os.open(place, _DIRECTORY)
        except FileNotFoundError:  # another session's end has just removed it
            continue
        try:
            fcntl.flock(top, fcntl.LOCK_EX)
            if os.fstat(top).st_nlink:
                return top
        except OSError:
            os.close(top)  # otherwise the guard could not lock it, and would leave it
            raise
        os.close(top)


def _remove_if_empty(place: str) -> None:
    """Remove a user's directory, unless a session is in it or about to be."""
    try:
        top = os.open(place, _DIRECTORY)
    except FileNotFoundError:
        return
    try:
        fcntl.flock(top, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.rmdir(place)
    except OSError:
        pass
    finally:
        os.close(top)


def _make_private(directory: str) -> None:
    with suppress(FileExistsError):
        os.mkdir(directory, 0o700)
    check_private(directory)


def check_private(directory: str) -> None:
    """Raise Refusal (69) if the directory exists and others than root can enter it."""
    with suppress(FileNotFoundError):
        status = os.stat(directory, follow_symlinks=False)
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != 0 or stat.S_IMODE(status.st_mode) & 0o077:
            raise refusals.staging_failed(directory, reasons.ENTERED_BY_OTHERS)


def sweep_one(tools: Tools, session: Session) -> None:
    """Clean up after the session if no runner or guard takes care of it."""
    try:
        lock = os.open(session.lock, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        clean_up(tools, session, ended=False)
        return
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        clean_up(tools, session, ended=False)
    except BlockingIOError:
        pass
    finally:
        os.close(lock)


def clean_up(tools: Tools, session: Session, *, ended: bool) -> None:
    """Remove the session's unit and files, as far as they exist. ended: the unit has ended by itself."""
    if not ended:
        systemctl.stop(tools, session.unit)
        systemctl.reset_failed(tools, session.unit)
    with suppress(FileNotFoundError):
        for name in os.listdir(session.directory):
            with suppress(FileNotFoundError):
                _remove(f"{session.directory}/{name}")
        os.rmdir(session.directory)
    _remove_if_empty(os.path.dirname(session.directory))


def _remove(path: str) -> None:
    """Remove a file; or an empty directory, as an earlier version left them."""
    try:
        os.unlink(path)
    except IsADirectoryError:
        os.rmdir(path)
