"""The end of a session: what is left of its unit, its terminal, and its exit status."""

from __future__ import annotations

from pi_agent.linux import processes
from pi_agent.messages import start_refusals
from pi_agent.python.standard import signal
from pi_agent.session import control_group, systemctl
from pi_agent.session.report import Report
from pi_agent.session.signal_relay import Relay
from pi_agent.session.unfinished import Unfinished


def conclude(running: Unfinished, report: Report, relay: Relay) -> int:
    """End what is left of the unit, put the terminal right, and return the exit status of the session.

    systemd-run may have ended before: at a terminal, it lets go of the unit when `^]` is typed three times. Raises
    Refusal (69) if Pi never ran.
    """
    unit = running.session.unit
    if not (report.started and processes.has_ended(running.client.process) and _is_gone(unit)):
        systemctl.stop(running.tools, unit)
        systemctl.reset_failed(running.tools, unit)
    if running.terminal is not None:
        running.terminal.put_right()
    return _status(report, relay, running)


def _is_gone(unit: str) -> bool:
    try:
        return control_group.is_gone(unit)
    except OSError:
        return False


def _status(report: Report, relay: Relay, running: Unfinished) -> int:
    if relay.cut_short is not None:
        return 128 + relay.cut_short
    ended = report.ended
    if running.terminal is not None and ended == 128 + signal.SIGHUP and relay.ending is not None:
        # At a terminal, sudo signals the whole group: systemd-run ends too, and the terminal with it.
        return 128 + relay.ending
    if ended is not None:
        return ended
    if not report.started:
        raise start_refusals.session_not_started(running.session.unit)
    # Every other end is reported, so it was KILL.
    return 128 + signal.SIGKILL
