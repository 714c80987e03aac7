"""`--sandbox-stop [SESSION]`: ends one of the caller's own sessions. Runs as root.

Whose sessions these are is decided by where they are staged: another user's session is as unknown as one that never
was. The runner of the session finds its unit ended, tells its user the status and cleans up, as always.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

from pi_agent.cli import output
from pi_agent.cli.call import Call
from pi_agent.cli.commands import status
from pi_agent.messages import command_refusals
from pi_agent.policy.policy_file import Tools
from pi_agent.session import running_sessions, systemctl
from pi_agent.session.running_sessions import RunningSession

_PATIENCE: Final = 15  # seconds until a session that was stopped must be gone; control.GRACE is a part of it
_ROUND: Final = 1  # seconds after which its unit is stopped once more
_POLL: Final = 0.05


def run(call: Call) -> int:
    """End the session that is named, or the only one. Raises Refusal: 64 for none or several, 69 if it does not end."""
    sessions = running_sessions.of_user(call.caller.uid)
    chosen = _chosen(call, sessions)
    if chosen is None:
        output.lines(["You have no sessions."])
        return 0
    _end(call.policy.tools, chosen)
    output.lines([f"Session {chosen.id} has ended."])
    return 0


def _chosen(call: Call, sessions: Sequence[RunningSession]) -> RunningSession | None:
    command = call.policy.command_name
    wanted = call.invocation.values.get("SESSION")
    if wanted is None:
        if len(sessions) > 1:
            status.show(sessions, status.used(call.policy.tools, [each.session.unit for each in sessions]), time.time())
            raise command_refusals.session_not_chosen(command)
        return sessions[0] if sessions else None
    matching = [each for each in sessions if each.id == wanted]
    if len(matching) != 1:
        raise command_refusals.session_unknown(wanted, command)
    return matching[0]


def _end(tools: Tools, chosen: RunningSession) -> None:
    """Stop the session's unit and wait until its runner has cleaned up.

    More than once: the runner of a session that has just begun may ask for the unit only after it was stopped.
    """
    deadline = time.monotonic() + _PATIENCE
    while running_sessions.is_running(chosen.session):
        if time.monotonic() > deadline:
            raise command_refusals.session_not_ended(chosen.session.unit)
        systemctl.stop(tools, chosen.session.unit)
        again = time.monotonic() + _ROUND
        while running_sessions.is_running(chosen.session) and time.monotonic() < again:
            time.sleep(_POLL)
