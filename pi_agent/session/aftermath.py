"""Sees a session out: waits for its end, and tells what it left that the host may run by itself.

Runs as root. The process that waits may be another program image than the one that started the session, so everything
that is needed is in an Unfinished and in the session's directory.
"""

from __future__ import annotations

import marshal
import os

from pi_agent.linux import standard_error, timing
from pi_agent.messages import notices
from pi_agent.messages.refusal import Refusal
from pi_agent.policy import accounts, policy_file
from pi_agent.policy.project_roots import Project
from pi_agent.session import attendance, audit, conclusion
from pi_agent.session.care import Care
from pi_agent.session.launch_plan import Request
from pi_agent.session.report import Report
from pi_agent.session.signal_relay import Relay
from pi_agent.session.unfinished import Unfinished

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


def prepare(request: Request) -> Project | None:
    """Note what the host may run by itself, in the session's directory. Returns the project to look at afterwards.

    Only a session at a terminal has one.
    """
    project = request.project
    if project is None or not request.terminal:
        return None
    from pi_agent.sandbox import self_running  # only a launch at a terminal needs it

    found = self_running.look(request.policy, request.accounts.caller, project)
    with open(request.session.before, "wb") as file:
        marshal.dump(found, file)
    return project


def see_out(running: Unfinished, report: Report, relay: Relay, care: Care, *, let_go: bool = False) -> int:
    """Wait for the end of the session, and return its exit status. Raises Refusal (69) if Pi never ran.

    let_go: whether systemd-run is known to have ended first. May become another program meanwhile, and then does not
    return.
    """
    let_go = attendance.until_end(running, report, relay) or let_go
    relay.stop()
    timing.mark("session run")
    status = conclusion.conclude(running, report, relay, let_go=let_go)
    care.has_unit = False
    audit.ended(running.known, status)
    timing.mark("session end")
    if running.project is not None:
        _tell_changes(running, running.project)
    timing.mark("provenance")
    return status


def _tell_changes(running: Unfinished, project: Project) -> None:
    """Tell what the session left that the host may run by itself. The exit status is the session's in any case."""
    try:
        changed = _changed(running, project)
    except (OSError, ValueError, Refusal) as error:
        why = error.what if isinstance(error, Refusal) else str(error)
        standard_error.say(running.command, notices.self_running_files_unknown(why))
        return
    if changed:
        standard_error.say(running.command, notices.self_running_files_changed(changed))


def _changed(running: Unfinished, project: Project) -> Sequence[str]:
    """What is new or changed since `prepare`."""
    from pi_agent.sandbox import self_running

    policy = policy_file.load(running.known.policy)
    caller = accounts.through_sudo(policy, os.environ)
    with open(running.session.before, "rb") as file:
        before = marshal.load(file)  # noqa: S302  # only root can write it
    return self_running.changed(before, self_running.look(policy, caller, project))
