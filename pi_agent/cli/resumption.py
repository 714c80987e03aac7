"""The runner once more, when the shell that waited for it has news of the session (attendance.py, waiter.bash).

Runs as root, as the same process as before. Its arguments come from the runner and from that shell, never from a
caller: sudo does not start it. They are the name of our command, the session's directory, and what the shell was woken
by: the name of a signal, or `news`.
"""

from __future__ import annotations

import os
import sys

from pi_agent.cli import entry_point
from pi_agent.session import aftermath, attendance, audit, session_names, unfinished
from pi_agent.session.care import Care
from pi_agent.session.report import QUIET, Report
from pi_agent.session.session_names import Session
from pi_agent.session.signal_relay import Relay
from pi_agent.session.unfinished import Unfinished

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn


def main() -> NoReturn:
    """See the session out, and end the process with its exit status."""
    command, directory, what = sys.argv[1:]
    session = session_names.called(*os.path.split(directory))
    entry_point.exit_at_once(entry_point.answered(command, lambda: _resumed(session, what)))


def _resumed(session: Session, what: str) -> int:
    """What runner.main does once Pi runs. what: what the shell was woken by."""
    running = unfinished.read(session)
    attendance.close_to_others(running)
    try:
        return _seen_out(running, what)
    except Exception as error:
        refusal = entry_point.as_refusal(error)
        audit.refused(running.known, refusal.status, refusal.what)
        raise refusal from error


def _seen_out(running: Unfinished, what: str) -> int:
    report = Report(running.report, QUIET)
    with (
        Care(running.tools, running.session, running.guard, running.kept) as care,
        Relay(running.tools, running.session.unit, report, running.above) as relay,
    ):
        relay.session_begins(running.client.process)
        if what in attendance.PASSED_ON:
            relay.hear(attendance.PASSED_ON[what])
        return aftermath.see_out(running, report, relay, care)
