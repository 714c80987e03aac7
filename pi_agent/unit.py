"""The session's unit: the command that starts it, and running it to its end."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from pi_agent import control, process, refusals
from pi_agent.policy import Tools
from pi_agent.session import Session

SLICE: Final = "pi-agent.slice"
# siginfo's si_code as ExecMainCode= shows it (sigaction(2)); the others say that a signal ended the process.
_CLD_NONE: Final = "0"
_CLD_EXITED: Final = "1"
_SETTLING: Final = 0.3  # seconds from the launcher's word to Pi's first signal handler, generously
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


def conduct(tools: Tools, session: Session, start: Start, meanwhile: Callable[[], None]) -> int:
    """Run the session to its end, passing signals on, and return Pi's exit status. The unit has ended then.

    meanwhile: called while systemd starts the unit.

    Raises Refusal (69) when the unit did not come to run Pi.
    """
    # launch.bash says a word when the sandbox stands. It is kept for us as long as we hold the other end.
    status = 0
    word = os.open(session.started, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        with _Relay(tools, session) as relay:
            # At a terminal systemd-run must stay in the foreground group, to read the keys and learn of resizes;
            # Ctrl-C arrives there as a byte. Elsewhere Ctrl-C signals the whole group, and must only reach us.
            if relay.cut_short is None:
                child = process.start(start.argv, start.environ, own_group=not start.terminal)
                relay.session_begins()
                meanwhile()
                status = process.wait(child)
        if status == 0 and not start.terminal and relay.cut_short is None:
            return 0
        ended = _end(tools, session.unit)
        if relay.cut_short is not None:
            return 128 + relay.cut_short
        if status != 0 and not _said(word):
            raise refusals.session_not_started(session.unit)
        return status if ended is None else ended
    finally:
        os.close(word)


def _end(tools: Tools, unit: str) -> int | None:
    """See that the unit has ended, and return its main process's exit status; None when systemd remembers none.

    systemd-run's own status is no proof: it dies before the unit when somebody kills it, and at a terminal it lets go
    of the unit when `^]` is typed three times.
    """
    facts = _facts(tools, unit)
    stopped = facts.get("ActiveState") not in ("inactive", "failed")
    if stopped:
        control.stop(tools, unit)
        facts = _facts(tools, unit)
    control.forget(tools, unit)
    code, number = facts.get("ExecMainCode", "0"), int(facts.get("ExecMainStatus", "0"))
    if code == _CLD_NONE:
        return 128 + signal.SIGTERM if stopped else None
    return number if code == _CLD_EXITED else 128 + number


def _facts(tools: Tools, unit: str) -> dict[str, str]:
    names = "--property=ActiveState,ExecMainCode,ExecMainStatus"
    output = process.run([tools.systemctl, "show", names, unit]).output
    return {name: value for name, _, value in (line.partition("=") for line in output.splitlines())}


def _said(word: int) -> bool:
    try:
        return os.read(word, 1) != b""
    except BlockingIOError:
        return False


class _Relay:
    """While entered, signals to the runner go to Pi: INT and QUIT as they are, TERM and HUP as TERM, then KILL.

    cut_short: the signal that ended the session before Pi could have heard it.
    """

    def __init__(self, tools: Tools, session: Session) -> None:
        self._tools = tools
        self._session = session
        self._begun = False
        self.cut_short: int | None = None

    def __enter__(self) -> _Relay:
        for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._hear)
        signal.signal(signal.SIGALRM, self._lose_patience)
        return self

    def __exit__(self, *_: object) -> None:
        for number in (signal.SIGALRM, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)  # nothing may interrupt the clean-up that follows

    def session_begins(self) -> None:
        """To be called when systemd has been asked for the unit; a signal that came before is acted on now."""
        self._begun = True
        if self.cut_short is not None:
            self._kill("--signal=KILL")

    def _hear(self, number: int, _frame: object) -> None:
        if not self._begun:
            self.cut_short = number
        elif not self._settled():
            # The first process of a namespace gets no signal that it has no handler for (pid_namespaces(7)), and
            # Pi needs a moment to have one: until then only this ends the session.
            self.cut_short = number
            self._kill("--signal=KILL")
        elif number in (signal.SIGINT, signal.SIGQUIT):
            self._kill("--kill-whom=main", f"--signal={number}")
        else:
            self._kill("--kill-whom=main", "--signal=TERM")
            if signal.getitimer(signal.ITIMER_REAL)[0] == 0:  # a second TERM grants no more time
                signal.alarm(control.GRACE)

    def _lose_patience(self, _number: int, _frame: object) -> None:
        self._kill("--signal=KILL")

    def _settled(self) -> bool:
        """Whether launch.bash has long enough said its word: writing to a pipe renews the file's mtime (inode(7))."""
        try:
            status = os.stat(self._session.started)
        except FileNotFoundError:  # the guard is at work
            return True
        # st_atime stays that of the making: nobody has read yet.
        return status.st_mtime_ns > status.st_atime_ns and time.time() - status.st_mtime > _SETTLING

    def _kill(self, *options: str) -> None:
        """The unit may be a moment away from existing; a signal that came early is delivered late, not lost."""
        deadline = time.monotonic() + _RELAY_PATIENCE
        while not control.kill(self._tools, self._session.unit, *options):
            if time.monotonic() > deadline:
                return
            time.sleep(0.05)
