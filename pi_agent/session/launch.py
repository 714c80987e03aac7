"""Carries out the plan of a launch. Only this module writes, mounts and starts.

Runs as root. A change since the plan was made is noticed where it matters: a sync by another launch, a document that a
running Pi has written, a protected path that has vanished. However it ends, no unit or file of the session stays.
"""

from __future__ import annotations

import time

from pi_agent.linux import terminals, timing
from pi_agent.linux.terminals import Terminal
from pi_agent.messages import start_refusals
from pi_agent.messages.refusal import Refusal
from pi_agent.python.records import record
from pi_agent.sandbox import prepared_root
from pi_agent.session import (
    aftermath,
    audit,
    care,
    running_sessions,
    session_directory,
    signal_relay,
    supervision,
    systemctl,
)
from pi_agent.session.audit import Known
from pi_agent.session.care import Care
from pi_agent.session.furnishing import Furnishing
from pi_agent.session.launch_plan import Plan
from pi_agent.session.renewal import Covered
from pi_agent.session.signal_relay import Above, Relay
from pi_agent.session.supervision import Line
from pi_agent.session.unfinished import Client, Unfinished
from pi_agent.state import home_files, sync, user_state
from pi_agent.state.user_state import State

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


def carry_out(plan: Plan, known: Known) -> int:
    """Launch as planned, and return Pi's exit status. known: what the journal is told about the launch.

    A session that takes long is seen out by another process image (attendance.py): then this does not return. Raises
    Refusal: 65 or 69 if something has changed since it was planned, or if the machine fails.
    """
    request, accounts = plan.request, plan.request.accounts
    state = user_state.prepare(request.policy, accounts.owner, accounts.caller.name, plan.state)
    timing.mark("state")
    told = [*plan.notices, *_configure(plan, state)]
    _mount_root(plan)
    above = signal_relay.above(request.environ if request.terminal else None)
    with care.taken(request.policy.tools, request.session, state.memory, above.terminal) as taken:
        session_directory.fill(request.session, _description(plan))
        line = supervision.line(request.session)
        timing.mark("guard")
        audit.started(known)
        with Relay(request.policy.tools, request.session.unit, line.report, above) as relay:
            begun = _begun(plan, state, told, line, relay)
            if isinstance(begun, int):
                return begun
            return aftermath.see_out(_unfinished(plan, known, taken, above, begun), line.report, relay, taken)


@record
class _Begun:
    """A session that has begun, as an Unfinished has it."""

    client: Client
    report: int
    memory: int
    terminal: Terminal | None
    covered: Covered | None


def _begun(plan: Plan, state: State, told: Sequence[str], line: Line, relay: Relay) -> _Begun | int:
    """Start the unit, and let the session run; the exit status if a signal ended it before. Raises Refusal (69).

    told: notices for the user.
    """
    terminal = terminals.seen(plan.start.environ) if plan.start.terminal else None
    try:
        with Furnishing(plan, state, told) as furnishing:
            client = supervision.begin(plan, line, relay, furnishing)
            return _Begun(client, line.report.pipe, state.memory, terminal, furnishing.covered)
    except Refusal:
        if relay.cut_short is None:
            raise
        return 128 + relay.cut_short


def _unfinished(plan: Plan, known: Known, taken: Care, above: Above, begun: _Begun) -> Unfinished:
    request = plan.request
    return Unfinished(
        tools=request.policy.tools,
        session=request.session,
        command=request.policy.command_name,
        known=known,
        client=begun.client,
        guard=taken.guard,
        report=begun.report,
        memory=begun.memory,
        kept=taken.kept,
        above=above,
        terminal=begun.terminal,
        project=request.project,
        covered=begun.covered,
    )


def _mount_root(plan: Plan) -> None:
    """Have the root of the session mounted if it is not: this system's first launch. Raises Refusal (69)."""
    root = plan.view.root
    if not root.is_mounted:
        systemctl.start(plan.request.policy.tools, prepared_root.SERVICE)
        if not root.is_mounted:
            raise start_refusals.root_not_mounted(prepared_root.SERVICE)


def _description(plan: Plan) -> bytes:
    """What `--sandbox-status` tells of the session."""
    project = plan.request.project
    return running_sessions.describe(time.time(), None if project is None else project.root, plan.directory)


def _configure(plan: Plan, state: State) -> Sequence[str]:
    """Write what is planned into the user's own tree, and return the notices that arose."""
    configuration, owner = plan.configuration, plan.request.accounts.owner
    told: Sequence[str] = ()
    if configuration.sync is not None:
        told = sync.carry_out(configuration.sync, state)
    timing.mark("sync")
    for file in configuration.files:
        home_files.write(owner, state, file)
    if configuration.link is not None:
        home_files.make_link(owner, state, configuration.link)
    timing.mark("environment")
    return told
