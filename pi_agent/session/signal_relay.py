"""Passes signals to the runner on to Pi."""

from __future__ import annotations

import os
import time

from pi_agent.linux import processes, terminals
from pi_agent.linux.terminals import Terminal
from pi_agent.policy.policy_file import Tools
from pi_agent.python.records import record
from pi_agent.python.standard import contextmanager, signal, suppress
from pi_agent.session import systemctl
from pi_agent.session.report import Report

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Final

HEARD: Final = (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP)
_AGAIN: Final = 0.2  # seconds between two attempts to kill a unit that may have no process yet
_PATIENCE: Final = 5.0  # seconds until systemd-run is told to let go of the unit


@record
class Above:
    """What started the runner: sudo. process: its id. terminal: the one that it is on, None if there is none.

    front: the sudo that is on it (pidfd_open(2)): one that gives its command another terminal is two processes.
    """

    process: int
    terminal: Terminal | None
    front: int | None = None

    def watch(self) -> None:
        """From now on, get SIGTERM when it dies; at once if it has died.

        Whoever acts as another user in between must call this again: the kernel forgets it then (prctl(2)).
        """
        processes.signalled_when_parent_dies(signal.SIGTERM)
        if os.getppid() != self.process:  # it died before
            os.kill(os.getpid(), signal.SIGTERM)

    def look(self) -> None:
        """If sudo has died, put its terminal right at once: the shell is about to show its prompt."""
        if self.terminal is None:
            return
        if os.getppid() != self.process or (self.front is not None and processes.has_ended(self.front)):
            self.terminal.put_right()


def above(environ: Mapping[str, str] | None) -> Above:
    """What started this process, which is told of its death. environ: None without a terminal."""
    parent = os.getppid()
    if environ is None:
        found = Above(parent, None)
    else:
        found = Above(parent, terminals.beyond_sudo(environ, parent), _opened(terminals.front_of(parent)))
    found.watch()
    return found


def _opened(process: int) -> int | None:
    try:
        return os.pidfd_open(process)
    except ProcessLookupError:  # it has just died, and its parent knows
        return None


class Relay:
    """While entered, passes the runner's signals to Pi as they are. After TERM or HUP, KILL follows.

    cut_short: the signal that ended the session before Pi could receive one. ending: the first that was to end it.
    """

    def __init__(self, tools: Tools, unit: str, report: Report, above: Above) -> None:
        self._tools = tools
        self._unit = unit
        self._report = report
        self._above = above
        self._client: int | None = None
        self._deadline: float | None = None
        self.cut_short: int | None = None
        self.ending: int | None = None

    def __enter__(self) -> Relay:
        for number in HEARD:
            signal.signal(number, self.hear)
        signal.signal(signal.SIGALRM, self._kill)
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @contextmanager
    def resting(self) -> Iterator[None]:
        """While entered, signals do what they do by default."""
        for number in HEARD:
            signal.signal(number, signal.SIG_DFL)
        try:
            yield
        finally:
            self.__enter__()

    def stop(self) -> None:
        """Ignore signals from now on."""
        for number in (signal.SIGALRM, *HEARD):
            signal.signal(number, signal.SIG_IGN)  # nothing may interrupt the clean-up that follows

    def session_begins(self, client: int) -> None:
        """Call this when systemd has been asked for the unit. A signal that came before is acted on now.

        client: systemd-run (pidfd_open(2)).
        """
        self._client = client
        if self.cut_short is not None:
            self._kill()

    def hear(self, number: int, _frame: object = None) -> None:
        """Act on a signal."""
        self._above.look()
        if self._client is None:
            self.cut_short = number
        elif not self._report.started:
            self.cut_short = number
            self._kill()
        else:
            systemctl.kill(self._tools, self._unit, "--kill-whom=main", f"--signal={number}")
            if number in (signal.SIGINT, signal.SIGQUIT):
                return
            self.ending = self.ending or number
            if signal.getitimer(signal.ITIMER_REAL)[0] == 0:  # a second TERM does not extend the time
                signal.setitimer(signal.ITIMER_REAL, systemctl.GRACE)

    def _kill(self, *_: object) -> None:
        """Kill all of the unit, again and again until systemd-run has ended.

        `systemctl kill` succeeds for a unit that has no process yet.
        """
        now = time.monotonic()
        self._deadline = self._deadline or now + _PATIENCE
        systemctl.kill(self._tools, self._unit, "--signal=KILL")
        if now > self._deadline and self._client is not None:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._client, signal.SIGTERM)
        signal.setitimer(signal.ITIMER_REAL, _AGAIN)
