"""The guard: a forked process that cleans up after a session if its runner cannot.

Runs as root. It is forked before anything of the session is made, so a KILL at any moment leaves nothing behind. If
guard and runner are killed at once, the next launch of the same user cleans up (session_directory.py).
"""

from __future__ import annotations

import fcntl
import os
import select
import time

from pi_agent.linux import processes, terminals
from pi_agent.linux.descriptors import Descriptors
from pi_agent.linux.errors import reason
from pi_agent.messages import refusals
from pi_agent.policy.policy_file import Tools
from pi_agent.python.records import record
from pi_agent.python.standard import contextmanager, signal, suppress
from pi_agent.session import session_directory, session_names, systemctl
from pi_agent.session.session_names import Session

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

# What the runner tells its guard: the unit has ended, or it may still exist.
_ENDED: Final = b"ended"
_FAILED: Final = b"fails"
_IGNORED: Final = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGTSTP)
_SECOND_LOOKS: Final = (0.2, 1.0)  # seconds


@contextmanager
def guarded(tools: Tools, session: Session, held: Descriptors) -> Iterator[None]:
    """While entered, the session's staging directory exists and is guarded. On exit, the session is cleaned up.

    held: descriptors that the guard must not keep open. Raises Refusal (69) if the directory cannot be made.
    """
    try:
        # The guard walks these by name, so it must not start unless they are root's.
        session_directory.check_private(session_names.STAGING)
        session_directory.check_private(os.path.dirname(session.directory))
        guard = Guard(tools, session, held)
    except OSError as error:
        raise refusals.staging_failed(session_names.STAGING, reason(error)) from error
    lock = None
    ended = True  # while no unit exists
    try:
        lock = session_directory.create(tools, session)
        ended = False
        yield
        ended = True
    except OSError as error:
        if lock is not None:
            raise
        raise refusals.staging_failed(session_names.STAGING, reason(error)) from error
    finally:
        guard.dismiss(ended=ended)
        if lock is not None:
            os.close(lock)


@record
class _Watched:
    """What the guard watches, as descriptors.

    runner: the runner's process; listen: the pipe on which the runner reports, which closes if it dies; above: the
    process that started the runner; parent: the id of that process.
    """

    runner: int
    listen: int
    above: int
    parent: int


class Guard:
    """The guard of one session, as its runner sees it.

    It cleans up when the runner is done with the session, or when the runner or the process that started it has died.
    If only that process has died, the guard also tells the runner to end.
    """

    def __init__(self, tools: Tools, session: Session, held: Descriptors) -> None:
        self._tools = tools
        self._session = session
        parent = os.getppid()
        above, runner = os.pidfd_open(parent), os.pidfd_open(os.getpid())
        try:
            listen, self._tell = os.pipe()
            # A signal to the group must not end the guard before it ignores them.
            before = signal.pthread_sigmask(signal.SIG_BLOCK, _IGNORED)
            try:
                self._pid = os.fork()
                if self._pid == 0:
                    try:
                        os.close(self._tell)
                        held.close()
                        _stand_guard(tools, session, _Watched(runner, listen, above, parent))
                    finally:
                        os._exit(1)
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, before)
                os.close(listen)
        finally:
            os.close(above)
            os.close(runner)

    def dismiss(self, *, ended: bool) -> None:
        """Have the session cleaned up, and wait for that. ended: its unit is gone already, or was never made."""
        with suppress(OSError):  # a guard that reads nothing assumes that the runner is dead, and cleans up too
            os.write(self._tell, _ENDED if ended else _FAILED)
        os.close(self._tell)
        if processes.wait(self._pid) != 0:  # somebody killed the guard, or it cleaned up too early
            session_directory.clean_up(self._tools, self._session, ended=False)


def _stand_guard(tools: Tools, session: Session, watched: _Watched) -> None:
    """Run the guard. Ends the process, with status 0 if everything is clean."""
    status = 1
    try:
        terminal = terminals.beyond_sudo(os.environ, watched.parent)
        _detach()
        told = _told(watched)
        if terminal is not None:
            if not told:
                terminal.put_right()  # at once: sudo is about to end, and the shell to show its prompt
            terminal.close()
        with _locked(session):
            session_directory.clean_up(tools, session, ended=told == _ENDED)
        if told != _ENDED:
            # The runner may have died while it was asking systemd to start the unit.
            for delay in _SECOND_LOOKS:
                time.sleep(delay)
                systemctl.stop(tools, session.unit)
                systemctl.reset_failed(tools, session.unit)
        # If the runner is alive and did not ask for this, it may have made things since.
        status = 0 if told else 1
    finally:
        os._exit(status)


def _detach() -> None:
    """Leave the caller's session and streams: a pipe of the caller's must close when the session ends."""
    os.setsid()
    for number in _IGNORED:
        signal.signal(number, signal.SIG_IGN)
    null = os.open("/dev/null", os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(null, stream)
    with open("/proc/self/comm", "w", encoding="utf-8") as name:
        name.write("pi-agent-guard")


def _told(watched: _Watched) -> bytes:
    """Wait, and return what the runner reported; empty if the runner or the process that started it has died."""
    events = select.poll()
    events.register(watched.listen, select.POLLIN)
    events.register(watched.above, select.POLLIN)
    ready = {descriptor for descriptor, _ in events.poll()}
    if watched.listen in ready:
        return os.read(watched.listen, len(_ENDED))
    # The process that waited for the runner is gone, and the runner may be about to start the unit. Or the runner is
    # dead too, and one of its children holds the other end of the pipe for a moment longer.
    with suppress(ProcessLookupError):
        signal.pidfd_send_signal(watched.runner, signal.SIGTERM)
    return b""


@contextmanager
def _locked(session: Session) -> Iterator[None]:
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
