"""The guard: a process that cleans up after a session if its runner cannot.

Runs as root. It is started before anything of the session is made, so a KILL at any moment leaves nothing behind. Until
it is needed it is a small shell (guard.bash). If guard and runner are killed at once, the next launch of the same user
cleans up (session_directory.py).
"""

from __future__ import annotations

import fcntl
import os
import sys
import time

from pi_agent.linux import processes
from pi_agent.linux.terminals import Terminal
from pi_agent.policy.policy_file import Tools
from pi_agent.python.records import record
from pi_agent.python.standard import contextmanager, signal, suppress
from pi_agent.session import session_directory, session_names, systemctl
from pi_agent.session.session_names import Session

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Final

_SHELL: Final = f"{os.path.dirname(__file__)}/guard.bash"
_ENDED: Final = b"ended\n"
_BLOCKED: Final = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGTSTP)
_SECOND_LOOKS: Final = (0.2, 1.0)  # seconds
# What the guard has open, under these numbers.
_LISTEN: Final = 3
_SHARED: Final = 4
_TERMINAL: Final = 5


@record
class Guard:
    """The guard of one session, as its runner sees it. process: its id. tell: the pipe to it, which ends with us."""

    process: int
    tell: int

    def dismiss(self) -> None:
        """Tell it that nothing is left of the session, and wait for its end."""
        with suppress(OSError):  # nobody listens, because somebody has killed it; or it is not told, and makes sure
            os.write(self.tell, _ENDED)
        self.clean_up()

    def clean_up(self) -> None:
        """Have it clean up unless it was told that nothing is left, and wait for its end."""
        os.close(self.tell)
        with suppress(ChildProcessError):  # the waiting shell has seen its end
            os.waitpid(self.process, 0)


def posted(tools: Tools, session: Session, shared: int, terminal: Terminal | None) -> Guard:
    """Start the guard of a session that is about to be made.

    shared: the lock that it shares until it has ended (sync_directory.py). terminal: the caller's, to put right if the
    runner dies. Raises OSError, and Refusal (69) if it cannot be run, or others than root can enter the place of
    sessions: the guard walks it by name.
    """
    for place in (session_names.STAGING, os.path.dirname(session.directory)):
        session_directory.check_private(place)
    listen, tell = os.pipe()
    try:
        given = {_LISTEN: listen, _SHARED: shared}
        if terminal is not None:
            given[_TERMINAL] = terminal.descriptor
        command = [tools.bash, "-p", _SHELL, *_command(tools, session, terminal)]
        return Guard(processes.start_apart(command, needs(tools.systemctl), given, blocked=_BLOCKED), tell)
    except BaseException:
        os.close(tell)
        raise
    finally:
        os.close(listen)


def needs(path: str) -> dict[str, str]:
    """A variable that has Nix keep this interpreter and what path needs, as long as a process has it.

    Nix collects no garbage that the environment of a process names (nix-store(1), --gc). The system may be another one
    by the time that a long session ends.
    """
    return {"PI_AGENT_NEEDS": f"{sys.executable} {path}"}


def _command(tools: Tools, session: Session, terminal: Terminal | None) -> Sequence[str]:
    """What the guard becomes when the runner has died."""
    reset = "" if terminal is None else terminal.reset.hex()
    main = "from pi_agent.session import guard; guard.stand_in()"
    return [sys.executable, "-I", "-c", main, tools.systemctl, session.directory, reset]


def stand_in() -> None:
    """Do what the dead runner cannot: the main function of the guard."""
    systemctl_path, directory, reset = sys.argv[1:]
    tools = Tools(bash="", setpriv="", setsid="", systemctl=systemctl_path, systemd_run="", sudo="", git="")
    session = session_names.called(*os.path.split(directory))
    if reset:
        Terminal(_TERMINAL, None, bytes.fromhex(reset)).put_right()  # at once: the shell is about to show its prompt
    with _locked(session):
        session_directory.clean_up(tools, session, ended=False)
    # The runner may have died while it was asking systemd to start the unit.
    for delay in _SECOND_LOOKS:
        time.sleep(delay)
        systemctl.stop(tools, session.unit)
        systemctl.reset_failed(tools, session.unit)


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
