"""Sees a session out: waits for its end, and reviews what it has left.

Runs as root. The process that waits may be another program image than the one that started the session, so everything
that is needed is in an Unfinished and in the session's directory.
"""

from __future__ import annotations

from pi_agent.linux import standard_error, timing
from pi_agent.messages import notices
from pi_agent.messages.refusal import Refusal
from pi_agent.session import attendance, audit, conclusion, provenance, renewal
from pi_agent.session.care import Care
from pi_agent.session.report import Report
from pi_agent.session.signal_relay import Relay
from pi_agent.session.unfinished import Unfinished


def see_out(running: Unfinished, report: Report, relay: Relay, care: Care) -> int:
    """Wait for the end of the session, and return its exit status.

    Raises Refusal (69) if Pi never ran, or if the session had to be ended because its protection was lost. May become
    another program meanwhile, and then does not return.
    """
    lost = None
    try:
        attendance.until_end(running, report, relay)
    except Refusal as refusal:
        lost = refusal
    relay.stop()
    timing.mark("session run")
    status = conclusion.conclude(running, report, relay)
    care.has_unit = False
    audit.ended(running.known, status)
    timing.mark("session end")
    if exposed := renewal.exposed(running.session.exposed):
        standard_error.say(running.command, notices.hidden_paths_exposed(exposed))
    provenance.review(running)
    timing.mark("provenance")
    if lost is not None:
        raise lost
    return status
