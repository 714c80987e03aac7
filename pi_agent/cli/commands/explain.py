"""`--sandbox-explain`: the plan of a launch here, printed instead of carried out.

Runs as root, for a listed host user, and changes nothing.
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Sequence

from pi_agent.cli import explain_facts, explain_page, explain_strays, launch_request, output
from pi_agent.cli.call import Call
from pi_agent.cli.explain_facts import Facts
from pi_agent.cli.parsing import Invocation
from pi_agent.messages.refusal import Refusal
from pi_agent.policy import accounts, project_roots
from pi_agent.policy.policy_file import Policy
from pi_agent.session import launch_plan


def on_host(policy: Policy, invocation: Invocation) -> Sequence[str] | int:
    """As the user: print the refusal at once if the user may not use pi-agent, and sudo would not start the runner."""
    try:
        accounts.by_uid(policy, os.getuid())
    except Refusal as refusal:
        try:
            name = pwd.getpwuid(os.getuid()).pw_name
        except KeyError:
            name = str(os.getuid())
        return _print(invocation, explain_facts.refused(explain_facts.opening(policy, name), refusal))
    return [invocation.command.name, *sorted(invocation.flags)]


def run(call: Call) -> int:
    """Print the plan. Returns the status with which a launch would be refused, or 0."""
    facts = explain_facts.opening(call.policy, call.accounts.caller.name)
    facts |= explain_facts.of_roots(project_roots.survey(call.policy, call.accounts.caller))
    try:
        request = launch_request.as_example(call.policy, call.accounts.caller)
        facts |= explain_facts.of_request(request)
        plan = launch_plan.plan(request)
        try:
            facts |= explain_facts.of_plan(plan)
            facts |= explain_strays.look(request)
        finally:
            plan.held.close()
    except Refusal as refusal:
        return _print(call.invocation, explain_facts.refused(facts, refusal))
    return _print(call.invocation, facts)


def _print(invocation: Invocation, facts: Facts) -> int:
    if "--json" in invocation.flags:
        output.json(facts)
    else:
        output.lines(explain_page.rendered(facts))
    return int(facts["status"])
