"""Carries out the plan of a launch. Only this module writes, mounts and starts.

Runs as root. A change since the plan was made is noticed where it matters: a sync by another launch, a document that a
running Pi has written, a protected path that has vanished. However it ends, no unit, mount or file of the session
stays.
"""

from __future__ import annotations

import time

from pi_agent.linux import standard_error, timing
from pi_agent.messages import notices, start_refusals
from pi_agent.sandbox import prepared_root
from pi_agent.session import (
    audit,
    guard,
    request_file,
    running_sessions,
    session_directory,
    supervision,
    systemctl,
)
from pi_agent.session.attachment import Attachment
from pi_agent.session.audit import Known
from pi_agent.session.launch_plan import Plan
from pi_agent.state import home_files, sync, user_state
from pi_agent.state.user_state import State

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def carry_out(plan: Plan, known: Known) -> int:
    """Launch as planned, and return Pi's exit status. known: what the journal is told about the launch.

    Raises Refusal: 65 or 69 if something has changed since it was planned, or if the machine fails.
    """
    request, accounts = plan.request, plan.request.accounts
    state = user_state.prepare(request.policy, accounts.owner, accounts.caller.name, plan.state)
    timing.mark("state")
    told = [*plan.notices, *_configure(plan, state)]
    with guard.guarded(request.policy.tools, request.session, plan.held):
        _mount_root(plan)
        session_directory.fill(request.session, _description(plan))
        timing.mark("guard")
        look_again = _watch(plan)
        timing.mark("provenance")
        audit.started(known)
        with Attachment(plan, state) as attachment:

            def furnish(process: int) -> None:
                for notice in [*told, *attachment.attach(process)]:
                    standard_error.say(request.policy.command_name, notice)
                plan.held.close()
                request_file.write(plan)
                timing.mark("mounts")

            status = supervision.run(request.policy.tools, request.session, plan.start, furnish)
        audit.ended(known, status)
    timing.mark("session end")
    if changed := look_again():
        standard_error.say(request.policy.command_name, notices.self_running_files_changed(changed))
    timing.mark("provenance")
    return status


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


def _watch(plan: Plan) -> Callable[[], Sequence[str]]:
    """At a terminal, look at what the host may run by itself. The result looks again and returns what has changed."""
    request = plan.request
    if not request.terminal or request.project is None:
        return tuple
    from pi_agent.sandbox import self_running  # only a launch at a terminal needs it

    return self_running.watch(request.policy, request.accounts.caller, request.project)
