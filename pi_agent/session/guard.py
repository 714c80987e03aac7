"""A session's staging directory from its making to its clean-up: what exists on the host while Pi runs.

Runs as root. It leaves nothing behind, however it ends: everything of a session is in one staging directory and one
unit, both named by a random id of ours; a guard, forked before either is made, removes them when the runner is gone,
even by SIGKILL. Should both be killed at once, the next launch finds the staging directory unlocked and does the same.
"""

from __future__ import annotations

import fcntl
import os
import select
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from pi_agent.linux import processes
from pi_agent.linux import systemctl
from pi_agent.linux import terminals
from pi_agent.messages import refusals
from pi_agent.policy.policy_file import Tools
from pi_agent.session import session_directory
from pi_agent.session.session_directory import Session

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

_ENDED: Final = b"ended"

_FAILED: Final = b"fails"

_DEAF_TO: Final = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGTSTP)

_SECOND_LOOKS: Final = (0.2, 1.0)  # seconds


@contextmanager
def opened(tools: Tools, user: str, uid: int) -> Iterator[Session]:
    """A new session for the host user, with its staging directory made and guarded; cleaned up when left.

    Raises Refusal (69) when it cannot be made.
    """
    session = session_directory.named(user, uid, os.urandom(8).hex())
    try:
        # The guard walks these by name, so it must not even begin where they are not root's.
        session_directory.check_private(session_directory.STAGING)
        session_directory.check_private(os.path.dirname(session.directory))
        guard = Guard(tools, session)
    except OSError as error:
        raise refusals.staging_failed(session_directory.STAGING, error.strerror or str(error)) from error
    lock = None
    ended = True  # as long as there is no unit
    try:
        lock = session_directory.create(tools, session)
        ended = False
        yield session
        ended = True
    except OSError as error:
        if lock is not None:
            raise
        raise refusals.staging_failed(session_directory.STAGING, error.strerror or str(error)) from error
    finally:
        guard.dismiss(ended=ended)
        if lock is not None:
            os.close(lock)


class Guard:
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
        if processes.wait(self._pid) != 0:  # somebody killed the guard, or it did its work too early
            session_directory.clean_up(self._tools, self._session, ended=False)


def _stand_guard(tools: Tools, session: Session, listen: int, above: int, runner: int, parent: int) -> None:
    """The guard's whole life. It holds none of the caller's streams but a terminal: a pipe must close when the session
    ends.

    listen: the runner's word, or its death. above: the death of the process that started the runner. parent: its pid.
    """
    status = 1
    try:
        screen = terminals.beyond_sudo(os.environ, parent)
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
            session_directory.clean_up(tools, session, ended=word == _ENDED)
        if word != _ENDED:
            # The runner may have died while systemd was being asked to start the unit.
            for delay in _SECOND_LOOKS:
                time.sleep(delay)
                systemctl.stop(tools, session.unit)
                systemctl.reset_failed(tools, session.unit)
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
