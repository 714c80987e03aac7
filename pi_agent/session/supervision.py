"""Runs a session's unit to its end, passes signals on, and finds the exit status."""

from __future__ import annotations

from pi_agent.linux import processes, terminals, timing
from pi_agent.linux.errors import reason
from pi_agent.messages import refusals, start_refusals
from pi_agent.messages.refusal import Refusal
from pi_agent.policy.policy_file import Tools
from pi_agent.python.records import record
from pi_agent.python.standard import signal, suppress
from pi_agent.sandbox import mounts
from pi_agent.session import session_directory, systemctl
from pi_agent.session.gate import Gate
from pi_agent.session.namespace_limits import Limiter
from pi_agent.session.report import Report
from pi_agent.session.session_names import Session
from pi_agent.session.signal_relay import Relay
from pi_agent.session.systemd_run import Start

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final

# siginfo's si_code, as ExecMainCode= shows it (sigaction(2)): ended by a signal, with or without a core dump.
_BY_A_SIGNAL: Final = ("2", "3")


def run(tools: Tools, session: Session, start: Start, meanwhile: Callable[[], None]) -> int:
    """Run the session to its end, passing signals on, and return Pi's exit status. The unit has then ended.

    meanwhile: called while systemd starts the unit. Raises Refusal (69) if the unit did not come to run Pi.
    """
    before = terminals.seen(start.environ) if start.terminal else None
    try:
        with Report(session.report) as report, _gate(session) as gate:
            end = _run(tools, session, start, _Line(report, gate), meanwhile)
            if _is_clean(end, start, report):
                return 0
            killed = _end(tools, session.unit)
            return _status(end, start, report, killed, session.unit)
    finally:
        if before is not None:
            before.put_right()
            before.close()


@record
class _End:
    """How systemd-run ended. status: its exit status. cut_short, ending: see Relay."""

    status: int
    cut_short: int | None
    ending: int | None


@record
class _Line:
    """The line to launch.bash. report: what it says. gate: before which it waits."""

    report: Report
    gate: Gate


def _gate(session: Session) -> Gate:
    try:
        return Gate(session.gate)
    except OSError as error:
        raise refusals.staging_failed(session.gate, reason(error)) from error


def _run(tools: Tools, session: Session, start: Start, line: _Line, meanwhile: Callable[[], None]) -> _End:
    status = 0
    with Relay(tools, session.unit, line.report) as relay:
        # At a terminal, systemd-run must stay in the foreground group to read the keys and learn of resizes; Ctrl-C
        # arrives there as a byte. Otherwise, Ctrl-C signals the whole group, and must reach only us.
        if relay.cut_short is None:
            child = processes.start(start.argv, start.environ, own_group=not start.terminal)
            relay.session_begins(child)
            with Limiter(session.unit, start.rlimits, session_directory.others(session)) as limiter:
                meanwhile()
                refusal = _let_in(session.unit, line, limiter, child)
                begun = refusal is None and line.report.await_start(child)
            if refusal is not None and relay.cut_short is None:
                line.gate.close()
                systemctl.kill(tools, session.unit, "--signal=KILL")
                processes.wait(child)
                raise refusal
            timing.mark("session start")
            if begun:
                _release(session)
            status = processes.wait(child)
            timing.mark("session run")
    return _End(status, relay.cut_short, relay.ending)


def _let_in(unit: str, line: _Line, limiter: Limiter, child: int) -> Refusal | None:
    """Limit the session once it waits, and let it run. Returns the refusal (69) if that fails.

    child: systemd-run. If it ends before, there is nothing to let in.
    """
    if not line.report.await_ready(child):
        return start_refusals.session_not_started(unit) if line.report.started else None
    try:
        limiter.limit()
        line.gate.open()
    except Refusal as refusal:
        return refusal
    except OSError:
        return start_refusals.session_not_started(unit)
    return None


def _is_clean(end: _End, start: Start, report: Report) -> bool:
    """Whether the unit certainly ended by itself, with 0. At a terminal, systemd-run may let go of it earlier."""
    return end.cut_short is None and not start.terminal and end.status == 0 == report.ended


def _status(end: _End, start: Start, report: Report, killed: int, unit: str) -> int:
    """The exit status of the session. killed: the status of a unit that was killed before it could report."""
    if end.cut_short is not None:
        return 128 + end.cut_short
    if start.terminal and report.ended == 128 + signal.SIGHUP and end.ending is not None:
        # At a terminal, sudo signals the whole group: systemd-run ends too, and the terminal with it.
        return 128 + end.ending
    if report.ended is not None:
        return report.ended
    if not report.started:
        raise start_refusals.session_not_started(unit)
    return killed


def _release(session: Session) -> None:
    """Unmount what was staged: the unit has it in a namespace of its own.

    While a mount is visible on the host, the owner of the file below it can neither rename nor remove it (rename(2),
    EBUSY). If this fails, the guard does it in the end.
    """
    with suppress(OSError):
        mounts.unstage(session.mounts)


def _end(tools: Tools, unit: str) -> int:
    """Make sure that the unit has ended, and return the status of one that was killed before it could report.

    systemd-run's own status proves nothing. systemd-run dies before the unit if somebody kills it, and at a terminal it
    lets go of the unit when `^]` is typed three times.
    """
    facts = _facts(tools, unit)
    if facts.get("ActiveState") not in ("inactive", "failed"):
        systemctl.stop(tools, unit)
        facts = _facts(tools, unit)
    systemctl.reset_failed(tools, unit)
    # Every other end is reported or noticed by systemd, so it was KILL.
    number = int(facts["ExecMainStatus"]) if facts.get("ExecMainCode") in _BY_A_SIGNAL else signal.SIGKILL
    return 128 + number


def _facts(tools: Tools, unit: str) -> dict[str, str]:
    names = "--property=ActiveState,ExecMainCode,ExecMainStatus"
    # If systemd cannot be asked, nothing is known. The session's end must still be reported.
    output = processes.run([tools.systemctl, "show", names, unit], accept=range(256)).output
    return {name: value for name, _, value in (line.partition("=") for line in output.splitlines())}
