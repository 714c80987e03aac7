"""Starts a session's unit, and lets the session in once it is limited and furnished."""

from __future__ import annotations

import os

from pi_agent.linux import processes, timing
from pi_agent.linux.errors import reason
from pi_agent.messages import refusals, start_refusals
from pi_agent.python.records import record
from pi_agent.session import control_group, report, session_directory, systemctl
from pi_agent.session.furnishing import Furnishing
from pi_agent.session.gate import Gate
from pi_agent.session.launch_plan import Plan
from pi_agent.session.namespace_limits import Limiter
from pi_agent.session.report import Report
from pi_agent.session.session_names import Session
from pi_agent.session.signal_relay import Relay
from pi_agent.session.unfinished import Client

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

_PATIENCE: Final = 5.0  # seconds that systemd may take to end a unit


@record
class Line:
    """The line to launch.bash. report: what it says. gate: before which it waits."""

    report: Report
    gate: Gate


def line(session: Session) -> Line:
    """The line to the launch.bash of the session, which does not exist yet. Raises Refusal (69)."""
    try:
        opened = report.opened(session.report)
        try:
            return Line(opened, Gate(session.gate))
        except OSError:
            opened.close()
            raise
    except OSError as error:
        raise refusals.staging_failed(session.directory, reason(error)) from error


def begin(plan: Plan, to: Line, relay: Relay, furnishing: Furnishing) -> Client:
    """Start the unit, and let the session run when it is furnished. Nothing of the agent runs before.

    Raises Refusal (69), also if a signal came before, and whatever else goes wrong: then the unit is gone.
    """
    tools, session, start = plan.request.policy.tools, plan.request.session, plan.start
    if relay.cut_short is not None:
        raise start_refusals.session_not_started(session.unit)
    ours, theirs = os.pipe()
    try:
        # At a terminal, systemd-run must stay in the foreground group to read the keys and learn of resizes; Ctrl-C
        # arrives there as a byte. Otherwise, Ctrl-C signals the whole group, and must reach only us.
        child = processes.start(start.argv, start.environ, own_group=not start.terminal, descriptors=[theirs])
    finally:
        os.close(theirs)
    client = Client(os.pidfd_open(child), ours)
    relay.session_begins(client.process)
    try:
        with Limiter(session.unit, start.rlimits, session_directory.others(session)) as limiter:
            furnishing.prepare()
            _let_in(session.unit, client, to, limiter, furnishing)
    except BaseException:
        to.gate.close()  # launch.bash ends
        systemctl.kill(tools, session.unit, "--signal=KILL")
        processes.has_ended(client.process, _PATIENCE)
        relay.stop()  # it signals the client
        os.close(client.process)
        os.close(client.alive)
        raise
    to.gate.close()
    timing.mark("session start")
    return client


def _let_in(unit: str, client: Client, to: Line, limiter: Limiter, furnishing: Furnishing) -> None:
    """Limit and furnish the session once it waits, and let it run. Raises Refusal (69)."""
    if not to.report.await_ready(client.process):
        raise start_refusals.session_not_started(unit)
    timing.mark("session start")
    try:
        limiter.begin()
        _, process = control_group.process_of(unit)
        try:
            furnishing.give(process)
        finally:
            os.close(process)
        limiter.finish()
        to.gate.open()
    except OSError as error:
        raise start_refusals.session_not_started(unit) from error
    to.report.await_start(client.process)
