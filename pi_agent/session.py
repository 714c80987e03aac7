"""A session's staging directory from its making to its clean-up: what exists on the host while Pi runs.

Runs as root. It leaves nothing behind, however it ends: everything of a session is in one staging directory and one
unit, both named by a random id of ours; a guard, forked before either is made, removes them when the runner is gone,
even by SIGKILL. Should both be killed at once, the next launch finds the staging directory unlocked and does the same.
"""

from __future__ import annotations

import fcntl
import os
import re
import select
import signal
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from pi_agent import control, mounts, process, refusals, terminal
from pi_agent.policy import Tools
from pi_agent.records import record
from pi_agent.refusals import Refusal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

STAGING: Final = "/run/pi-agent"
_UNIT_PREFIX: Final = "pi-agent-"
UNITS: Final = f"{_UNIT_PREFIX}*.service"
_ENDED: Final = b"ended"
_FAILED: Final = b"fails"
_DEAF_TO: Final = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGTSTP)
_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_SECOND_LOOKS: Final = (0.2, 1.0)  # seconds


@record
class Session:
    """unit: the service's name. directory: its staging directory, which only root can enter."""

    unit: str
    directory: str

    @property
    def project(self) -> str:
        """Where the project root is staged."""
        return f"{self.directory}/project"

    @property
    def state(self) -> str:
        """Where the state tree is staged."""
        return f"{self.directory}/state"

    @property
    def root(self) -> str:
        """The directory that becomes the sandbox's root."""
        return f"{self.directory}/root"

    @property
    def lock(self) -> str:
        """The file whose flock(2) says that somebody takes care of the session."""
        return f"{self.directory}/lock"

    @property
    def argv(self) -> str:
        """The file that says what to run, for launch.bash."""
        return f"{self.directory}/argv"

    @property
    def about(self) -> str:
        """The file that says what the session is, for `--sandbox-status` (live.py)."""
        return f"{self.directory}/about"

    @property
    def report(self) -> str:
        """The named pipe that launch.bash reports to (report.py)."""
        return f"{self.directory}/report"

    @property
    def environment(self) -> str:
        """The session's env file."""
        return f"{self.directory}/environment"

    @property
    def terminals(self) -> str:
        """Where the session's own pseudo-terminals are staged."""
        return f"{self.directory}/terminals"

    @property
    def extras(self) -> str:
        """The directory in which further paths of the host are staged, by number."""
        return f"{self.directory}/extras"

    @property
    def empty(self) -> tuple[str, str]:
        """An empty directory and an empty file, to stand in for what is hidden."""
        return (f"{self.directory}/empty-directory", f"{self.directory}/empty-file")

    @property
    def mounts(self) -> tuple[str, ...]:
        """Every place something is mounted on."""
        try:
            extras = [f"{self.extras}/{name}" for name in os.listdir(self.extras)]
        except FileNotFoundError:
            extras = []
        return (self.project, self.state, self.terminals, *extras)


def named(user: str, uid: int, number: str) -> Session:
    """The session of the host user that has this number, whether it is there or not."""
    return called(f"{STAGING}/{uid}", f"{_UNIT_PREFIX}{re.sub('[^A-Za-z0-9_.-]', '_', user)}-{number}")


def called(place: str, name: str) -> Session:
    """The session whose staging directory has that name in place, the directory of its user."""
    return Session(f"{name}.service", f"{place}/{name}")


@contextmanager
def opened(tools: Tools, user: str, uid: int) -> Iterator[Session]:
    """A new session for the host user, with its staging directory made and guarded; cleaned up when left.

    Raises Refusal (69) when it cannot be made.
    """
    session = named(user, uid, os.urandom(8).hex())
    try:
        # The guard walks these by name, so it must not even begin where they are not root's.
        check_private(STAGING)
        check_private(os.path.dirname(session.directory))
        guard = _Guard(tools, session)
    except OSError as error:
        raise refusals.staging_failed(STAGING, error.strerror or str(error)) from error
    lock = None
    ended = True  # as long as there is no unit
    try:
        lock = _create(tools, session)
        ended = False
        yield session
        ended = True
    except OSError as error:
        if lock is not None:
            raise
        raise refusals.staging_failed(STAGING, error.strerror or str(error)) from error
    finally:
        guard.dismiss(ended=ended)
        if lock is not None:
            os.close(lock)


def all_of(uid: int) -> list[Session]:
    """The sessions of the host user with this uid that have a staging directory, live or not, in no order.

    Raises Refusal (69) where others than root can enter that place.
    """
    place = f"{STAGING}/{uid}"
    for directory in (STAGING, place):
        check_private(directory)
    try:
        names = os.listdir(place)
    except FileNotFoundError:
        return []
    return [called(place, name) for name in names]


def sweep(tools: Tools, uid: int) -> None:
    """Clean up after what dead runners of the user with this uid left. Raises Refusal (69) where that fails."""
    for session in all_of(uid):
        _sweep(tools, session)


def _create(tools: Tools, session: Session) -> int:
    """Sweep what dead runners of this user left, then make the session's staging directory and return its lock.

    Users have a directory each, so that none can keep another waiting.
    """
    _make_private(STAGING)
    place = os.path.dirname(session.directory)
    # Held while making and while sweeping: no session is ever seen without its lock.
    top = _locked(place)
    try:
        for name in os.listdir(top):
            try:
                _sweep(tools, called(place, name))
            except (OSError, Refusal):  # what cannot be removed now is no reason to refuse a launch
                continue
        os.mkdir(session.directory, 0o700)
        lock = os.open(session.lock, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX)
        return lock
    finally:
        os.close(top)


def _locked(place: str) -> int:
    """Make and lock a user's directory and return its descriptor."""
    while True:
        try:
            _make_private(place)
            top = os.open(place, _DIRECTORY)
        except FileNotFoundError:  # the end of another session has just removed it
            continue
        try:
            fcntl.flock(top, fcntl.LOCK_EX)
            if os.fstat(top).st_nlink:
                return top
        except OSError:
            os.close(top)  # or the guard could not lock it, and would leave it
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
    """Raise Refusal (69) if others than root can enter the directory, if it is there."""
    with suppress(FileNotFoundError):
        status = os.stat(directory, follow_symlinks=False)
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != 0 or stat.S_IMODE(status.st_mode) & 0o077:
            raise refusals.staging_failed(directory, "others than root can enter it")


def _sweep(tools: Tools, session: Session) -> None:
    """Clean up after the session if nobody takes care of it."""
    try:
        lock = os.open(session.lock, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        _clean_up(tools, session, ended=False)
        return
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _clean_up(tools, session, ended=False)
    except BlockingIOError:
        pass
    finally:
        os.close(lock)


class _Guard:
    """A forked process that cleans up after the session when the runner is done with it, or when the runner or the
    process that started it is dead. In the latter case the runner is told to end.
    """

    def __init__(self, tools: Tools, session: Session) -> None:
        self._tools = tools
        self._session = session
        parent = os.getppid()
        above, runner = os.pidfd_open(parent), os.pidfd_open(os.getpid())
        try:
            listen, self._tell = os.pipe()
            # Until the guard has made itself deaf, a signal to the group must not end it.
            before = signal.pthread_sigmask(signal.SIG_BLOCK, _DEAF_TO)
            self._pid = os.fork()
            if self._pid == 0:
                os.close(self._tell)
                _stand_guard(tools, session, listen, above, runner, parent)
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            os.close(listen)
        finally:
            os.close(above)
            os.close(runner)

    def dismiss(self, *, ended: bool) -> None:
        """Have the session cleaned up, and wait until it is. ended: its unit is gone already, or was never made."""
        with suppress(OSError):  # without a word the guard takes us for dead, and does the same
            os.write(self._tell, _ENDED if ended else _FAILED)
        os.close(self._tell)
        if process.wait(self._pid) != 0:  # somebody killed the guard, or it did its work too early
            _clean_up(self._tools, self._session, ended=False)


def _stand_guard(tools: Tools, session: Session, listen: int, above: int, runner: int, parent: int) -> None:
    """The guard's whole life. It holds none of the caller's streams but a terminal: a pipe must close when the session
    ends.

    listen: the runner's word, or its death. above: the death of the process that started the runner. parent: its pid.
    """
    status = 1
    try:
        screen = terminal.beyond_sudo(os.environ, parent)
        os.setsid()
        for number in _DEAF_TO:
            signal.signal(number, signal.SIG_IGN)
        null = os.open("/dev/null", os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(null, stream)
        with open("/proc/self/comm", "w", encoding="ascii") as name:
            name.write("pi-agent-guard")
        events = select.poll()
        events.register(listen, select.POLLIN)
        events.register(above, select.POLLIN)
        ready = {descriptor for descriptor, _ in events.poll()}
        if listen not in ready:
            # Whoever waited for the runner is gone; it may be about to start the unit. Or it is dead too, and one of
            # its children holds the other end of the pipe for a moment longer.
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(runner, signal.SIGTERM)
        word = os.read(listen, len(_ENDED)) if listen in ready else b""
        if screen is not None:
            if not word:
                screen.put_right()  # at once: sudo is about to end, and a shell to show its prompt
            screen.close()
        with _taken(session):
            _clean_up(tools, session, ended=word == _ENDED)
        if word != _ENDED:
            # The runner may have died while systemd was being asked to start the unit.
            for delay in _SECOND_LOOKS:
                time.sleep(delay)
                control.stop(tools, session.unit)
                control.forget(tools, session.unit)
        # Where the runner lives and did not ask for this, it may have made things since.
        status = 0 if word else 1
    finally:
        os._exit(status)


@contextmanager
def _taken(session: Session) -> Iterator[None]:
    """Hold the session's lock if it is free, so that no sweep does the same work."""
    lock = None
    try:
        lock = os.open(session.lock, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (FileNotFoundError, BlockingIOError):
        pass
    try:
        yield
    finally:
        if lock is not None:
            os.close(lock)


def _clean_up(tools: Tools, session: Session, *, ended: bool) -> None:
    """Remove the session's unit, mounts and files; each may be there or not. ended: the unit has ended by itself."""
    if not ended:
        control.stop(tools, session.unit)
        control.forget(tools, session.unit)
    mounts.unstage(session.mounts)
    try:
        device = os.stat(session.directory, follow_symlinks=False).st_dev
    except FileNotFoundError:
        _remove_if_empty(os.path.dirname(session.directory))
        return
    for mounted in session.mounts:
        try:
            os.rmdir(mounted)  # fails on what could not be unmounted: then the rest stays too, for the next sweep
        except (FileNotFoundError, NotADirectoryError):
            continue
    _remove(session.directory, device)
    _remove_if_empty(os.path.dirname(session.directory))


def _remove(directory: str, device: int) -> None:
    """Remove the directory with all below it, but nothing on another device. What somebody else removes is fine."""
    with suppress(FileNotFoundError):
        with os.scandir(directory) as entries:
            for entry in entries:
                with suppress(FileNotFoundError):
                    status = entry.stat(follow_symlinks=False)
                    if not stat.S_ISDIR(status.st_mode):
                        os.unlink(entry.path)
                    elif status.st_dev == device:
                        _remove(entry.path, device)
        os.rmdir(directory)
