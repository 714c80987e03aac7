"""From the arguments of a launch to the request for it."""

from __future__ import annotations

import os
from collections.abc import Sequence

from pi_agent.cli import command_line
from pi_agent.linux import terminals, timing
from pi_agent.linux.identities import Identity
from pi_agent.policy import accounts, project_roots
from pi_agent.policy.policy_file import Policy
from pi_agent.session import session_names
from pi_agent.session.launch_plan import Request

# Stands for a session's random number in a launch that is only explained.
EXAMPLE_NUMBER = "ID"


def for_pi(policy: Policy, caller: Identity, arguments: Sequence[str]) -> Request:
    """A launch of Pi with these arguments. Raises Refusal: 77, 78."""
    command = (policy.program, *policy.extra_run_args, *command_line.for_pi(arguments))
    return _request(policy, caller, command, needs_project=not command_line.needs_no_project(arguments))


def for_shell(policy: Policy, caller: Identity) -> Request:
    """A launch of a shell instead of Pi. Raises Refusal: 77, 78."""
    return _request(policy, caller, (policy.shell,))


def as_example(policy: Policy, caller: Identity) -> Request:
    """A launch of Pi that is only explained, with an example for its random number. Raises Refusal: 77, 78."""
    return _request(policy, caller, (policy.program, *policy.extra_run_args), number=EXAMPLE_NUMBER)


def _request(
    policy: Policy,
    caller: Identity,
    command: tuple[str, ...],
    *,
    needs_project: bool = True,
    number: str | None = None,
) -> Request:
    found = accounts.of(policy, caller)
    project = project_roots.locate(policy, caller) if needs_project else None
    timing.mark("project")
    return Request(
        policy=policy,
        accounts=found,
        project=project,
        command=command,
        session=session_names.named(caller.name, caller.uid, number or os.urandom(8).hex()),
        environ=os.environ,
        terminal=terminals.present(),
    )
