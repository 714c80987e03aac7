"""Carries out the plan of a launch. Only this module writes, mounts and starts.

Runs as root. A change since the plan was made is noticed where it matters: a sync by another launch, a document that a
running Pi has written, a protected path that has vanished. However it ends, no unit, mount or file of the session
stays.
"""

from __future__ import annotations

from pi_agent.linux import standard_error, timing
from pi_agent.session import audit, guard, provenance, staging, supervision
from pi_agent.session.audit import Known
from pi_agent.session.launch_plan import Plan
from pi_agent.state import home_files, sync, user_state
from pi_agent.state.user_state import State

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


def carry_out(plan: Plan, known: Known) -> int:
    """Launch as planned, and return Pi's exit status. known: what the journal is told about the launch.

    Raises Refusal: 65 or 69 if something has changed since it was planned, or if the machine fails.
    """
    request, accounts = plan.request, plan.request.accounts
    state = user_state.prepare(request.policy, accounts.owner, accounts.caller.name, plan.state)
    timing.mark("state")
    told = [*plan.notices, *_configure(plan, state)]
    with guard.guarded(request.policy.tools, request.session, plan.held):
        timing.mark("guard")
        told += staging.fill(plan, state)
        plan.held.close()
        for notice in told:
            standard_error.say(request.policy.command_name, notice)
        status = supervision.run(
            request.policy.tools, request.session, plan.start, meanwhile=lambda: _meanwhile(plan, known)
        )
        audit.ended(known, status)
        before = provenance.recorded(request.session)
    timing.mark("session end")
    provenance.review(request, before, state.memory, known)
    timing.mark("provenance")
    return status


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


def _meanwhile(plan: Plan, known: Known) -> None:
    """While systemd starts the unit: log that, and record what runs by itself in the project."""
    audit.started(known)
    provenance.record(plan.request)
    timing.mark("provenance")
