"""From the arguments of a launch to the request for it."""

from __future__ import annotations

import os

from pi_agent.cli import command_line
from pi_agent.linux import terminals, timing
from pi_agent.linux.identities import Identity
from pi_agent.messages.refusal import EX_NOPERM, Refusal
from pi_agent.policy import accounts, project_roots
from pi_agent.policy.policy_file import Policy
from pi_agent.policy.project_roots import Project
from pi_agent.session import session_names
from pi_agent.session.launch_plan import Request

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import TypeAlias

# Stands for a session's random number in a launch that is only explained.
EXAMPLE_NUMBER = "ID"
_Locate: TypeAlias = "Callable[[Policy, Identity], Project | None]"


def for_pi(policy: Policy, caller: Identity, arguments: Sequence[str]) -> Request:
    """A launch of Pi with these arguments. Raises Refusal: 77, 78."""
    command = (policy.program, *policy.extra_run_args, *command_line.for_pi(arguments))
    if command_line.needs_no_configuration(arguments):
        return _request(policy, caller, command, _nowhere)
    anywhere = command_line.needs_no_project(arguments, policy.extra_run_args)
    return _request(policy, caller, command, _here_if_anywhere if anywhere else project_roots.locate)


def for_shell(policy: Policy, caller: Identity) -> Request:
    """A launch of a shell instead of Pi. Raises Refusal: 77, 78."""
    return _request(policy, caller, (policy.shell,))


def as_example(policy: Policy, caller: Identity) -> Request:
    """A launch of Pi that is only explained, with an example for its random number. Raises Refusal: 77, 78."""
    return _request(policy, caller, (policy.program, *policy.extra_run_args), number=EXAMPLE_NUMBER)


def _nowhere(_policy: Policy, _caller: Identity) -> Project | None:
    return None


def _here_if_anywhere(policy: Policy, caller: Identity) -> Project | None:
    """The project that holds the working directory; None outside of all. Raises Refusal (78)."""
    try:
        return project_roots.locate(policy, caller)
    except Refusal as refusal:
        if refusal.status != EX_NOPERM:
            raise
        return None


def _request(
    policy: Policy,
    caller: Identity,
    command: tuple[str, ...],
    locate: _Locate = project_roots.locate,
    number: str | None = None,
) -> Request:
    found = accounts.of(policy, caller)
    project = locate(policy, caller)
    timing.mark("project")
    return Request(
        policy=policy,
        accounts=found,
        project=project,
        command=command,
        session=session_names.named(caller.name, caller.uid, number or os.urandom(8).hex()),
        environ=os.environ,
        terminal=terminals.present(),
        configured=locate is not _nowhere,
    )
