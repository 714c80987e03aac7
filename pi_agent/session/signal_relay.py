"""Passes signals to the runner on to Pi."""

from __future__ import annotations

import os
import time

from pi_agent.policy.policy_file import Tools
from pi_agent.python.standard import signal
from pi_agent.session import systemctl
from pi_agent.session.report import Report

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

_HEARD: Final = (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP)
_AGAIN: Final = 0.2  # seconds between two attempts to kill a unit that may have no process yet
_PATIENCE: Final = 5.0  # seconds until systemd-run is told to let go of the unit


class Relay:
    """While entered, passes the runner's signals to Pi as they are. After TERM or HUP, KILL follows.

    cut_short: the signal that ended the session before Pi could receive one. ending: the first that was to end it.
    """

    def __init__(self, tools: Tools, unit: str, report: Report) -> None:
        self._tools = tools
        self._unit = unit
        self._report = report
        self._client: int | None = None
        self._deadline: float | None = None
        self.cut_short: int | None = None
        self.ending: int | None = None

    def __enter__(self) -> Relay:
        for number in _HEARD:
            signal.signal(number, self._hear)
        signal.signal(signal.SIGALRM, self._kill)
        return self

    def __exit__(self, *_: object) -> None:
        for number in (signal.SIGALRM, *_HEARD):
            signal.signal(number, signal.SIG_IGN)  # nothing may interrupt the clean-up that follows

    def session_begins(self, client: int) -> None:
        """Call this when systemd is being asked for the unit. A signal that came before is acted on now.

        client: the process id of systemd-run.
        """
        self._client = client
        if self.cut_short is not None:
            self._kill()

    def _hear(self, number: int, _frame: object) -> None:
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
            os.kill(self._client, signal.SIGTERM)
        signal.setitimer(signal.ITIMER_REAL, _AGAIN)
