"""`--sandbox-stop [SESSION]`: ends one of the caller's sessions. Runs as root.

The directory decides whose session it is: the answer about another user's session is the same as about one
that never existed. The session's runner sees its unit end, returns the status and cleans up, as always.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

from pi_agent.cli import output
from pi_agent.cli.call import Call
from pi_agent.cli.commands import status
from pi_agent.messages import command_output, command_refusals
from pi_agent.policy.policy_file import Tools
from pi_agent.session import running_sessions, systemctl
from pi_agent.session.running_sessions import RunningSession

_PATIENCE: Final = 15  # seconds in which a stopped session must end; systemctl.GRACE is a part of it
_ROUND: Final = 1  # seconds after which its unit is stopped again
_POLL: Final = 0.05  # seconds


def run(call: Call) -> int:
    """End the named session, or the only one.

    Raises Refusal: 64 if the name is unknown, or is missing while several run; 69 if the session does not end.
    """
    sessions = running_sessions.of_user(call.accounts.caller.uid)
    chosen = _chosen(call, sessions)
    if chosen is None:
        output.lines([command_output.NO_SESSIONS])
        return 0
    _end(call.policy.tools, chosen)
    output.lines([command_output.session_ended(chosen.id)])
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

    The unit is stopped again and again: the runner of a session that has just begun may start it after the first time.
    """
    deadline = time.monotonic() + _PATIENCE
    while running_sessions.is_running(chosen.session):
        if time.monotonic() > deadline:
            raise command_refusals.session_not_ended(chosen.session.unit)
        systemctl.stop(tools, chosen.session.unit)
        again = time.monotonic() + _ROUND
        while running_sessions.is_running(chosen.session) and time.monotonic() < again:
            time.sleep(_POLL)
