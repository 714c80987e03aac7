"""The session's unit: the command that starts it, and running it to its end."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from pi_agent import process, refusals
from pi_agent.policy import Tools
from pi_agent.session import Session

SLICE: Final = "pi-agent.slice"
_CLD_EXITED: Final = "1"  # siginfo's si_code as ExecMainCode= shows it (sigaction(2)); others died of a signal
_RELAY_PATIENCE: Final = 2.0


@dataclass(frozen=True, slots=True)
class Start:
    """How to start a session: systemd-run's argv and environment (TERM and the like); whether on a terminal."""

    argv: list[str]
    environ: Mapping[str, str]
    terminal: bool


def supervised(tools: Tools, *, terminal: bool) -> list[str]:
    """What stands before Pi's own command: a first process that passes signals on and reports 128 + n (tini(1)).

    At a terminal the session's process group must own it: systemd took the terminal before it made the namespace of
    process ids, so that from inside nobody seems to (setsid(1), --ctty).
    """
    first = [tools.tini, "-s", "--"]
    return [tools.setsid, "--ctty", *first] if terminal else first


def open_files(session: Session) -> list[str]:
    """The unit's OpenFile= entries, in the order launch.bash expects them."""
    return [f"{session.argv}:argv:read-only", f"{session.started}:started:append"]


def on_terminal() -> bool:
    """Whether input and output are a terminal both; otherwise streams are passed on as they are."""
    return os.isatty(0) and os.isatty(1)


def command(tools: Tools, launcher: str, session: Session, properties: Sequence[str], *, terminal: bool) -> list[str]:
    """The systemd-run(1) command that starts the session. A pure function."""
    argv = [
        tools.systemd_run,
        "--quiet",
        "--wait",
        "--expand-environment=no",
        "--service-type=exec",
        f"--unit={session.unit}",
        f"--slice={SLICE}",
        "--description=Pi coding agent",
        # No tint of the terminal's background (since version 256).
        *(["--pty", "--background="] if terminal else ["--pipe"]),
    ]
    argv += [f"--property={each}" for each in properties]
    return [*argv, "--", tools.bash, "-p", launcher]


def conduct(tools: Tools, session: Session, start: Start) -> int:
    """Run the session to its end, passing signals on, and return Pi's exit status.

    Raises Refusal (69) when the unit did not come to run Pi.
    """
    relay = _Relay(tools, session)
    # At a terminal systemd-run must stay in the foreground group, to read the keys and learn of resizes; Ctrl-C
    # arrives there as a byte. Elsewhere Ctrl-C signals the whole group, and must only reach us.
    with relay:
        child = process.start(start.argv, start.environ, own_group=not start.terminal)
        status = process.wait(child)
    if status == 0:
        return 0
    shown = process.run(
        [tools.systemctl, "show", "--property=ActiveState,ExecMainCode,ExecMainStatus", session.unit]
    ).output
    facts = dict(line.partition("=")[::2] for line in shown.splitlines())
    if facts.get("ActiveState") not in ("inactive", "failed"):  # systemd-run died before the unit did
        process.run([tools.systemctl, "stop", session.unit], accept=range(256))
    process.run([tools.systemctl, "reset-failed", session.unit], accept=range(256))
    if not _has_started(session):
        raise refusals.session_not_started(session.unit)
    code, number = facts.get("ExecMainCode"), int(facts.get("ExecMainStatus", "0"))
    if code == "0":
        return status
    return number if code == _CLD_EXITED else 128 + number


def _has_started(session: Session) -> bool:
    try:
        return os.stat(session.started).st_size > 0
    except FileNotFoundError:  # the guard has cleaned up already: whoever started us is gone
        return True


class _Relay:
    """While entered, signals to the runner go to Pi: INT and QUIT as they are, TERM and HUP as a stop of the unit."""

    def __init__(self, tools: Tools, session: Session) -> None:
        self._tools = tools
        self._unit = session.unit
        self._old: dict[int, object] = {}

    def __enter__(self) -> None:
        for number in (signal.SIGINT, signal.SIGQUIT):
            self._old[number] = signal.signal(number, self._pass_on)
        for number in (signal.SIGTERM, signal.SIGHUP):
            self._old[number] = signal.signal(number, self._stop)

    def __exit__(self, *_: object) -> None:
        for number in self._old:
            signal.signal(number, signal.SIG_IGN)  # nothing may interrupt the clean-up that follows

    def _pass_on(self, number: int, _frame: object) -> None:
        self._systemctl("kill", "--kill-whom=main", f"--signal={number}", self._unit)

    def _stop(self, _number: int, _frame: object) -> None:
        self._systemctl("stop", "--no-block", self._unit)

    def _systemctl(self, *arguments: str) -> None:
        """The unit may be a moment away from existing; a signal that came early is delivered late, not lost."""
        deadline = time.monotonic() + _RELAY_PATIENCE
        while process.run([self._tools.systemctl, *arguments], accept=range(256)).status != 0:
            if time.monotonic() > deadline:
                return
            time.sleep(0.05)
