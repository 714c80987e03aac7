"""From a typed command to the module that does it: once in the wrapper, as the host user, and once in the runner."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module

from pi_agent.cli import command_table, launch_request, parsing
from pi_agent.cli.call import Call
from pi_agent.cli.command_table import Command
from pi_agent.cli.parsing import Invocation
from pi_agent.linux.identities import Identity
from pi_agent.policy import accounts
from pi_agent.policy.policy_file import Policy
from pi_agent.session.launch_plan import Request


@dataclass(frozen=True, slots=True)
class Handover:
    """What the runner is to be asked."""

    command: Command
    arguments: Sequence[str]


def on_host(policy: Policy, arguments: Sequence[str], runner: str) -> Handover | int:
    """What the wrapper does with a command, as the host user: do it and return the exit status, or return what the
    runner is to be asked, with what only the user's side knows filled in. A module with `asking` asks it by itself.

    runner: its path. Raises Refusal (64).
    """
    invocation = parsing.parse(arguments, policy.command_name)
    if invocation.help:
        return _print_help(policy, invocation)
    if invocation.command.launches:
        return Handover(invocation.command, arguments)
    module = import_module(invocation.command.module)
    if hasattr(module, "asking"):
        status: int = module.asking(policy, invocation, [policy.tools.sudo, "-n", "--", runner, *arguments])
        return status
    prepare = getattr(module, "on_host", None)
    answer: Sequence[str] | int = arguments if prepare is None else prepare(policy, invocation)
    return answer if isinstance(answer, int) else Handover(invocation.command, answer)


def as_root(policy: Policy, caller: Identity, arguments: Sequence[str]) -> Request | int:
    """What the runner does with a command: do it and return the exit status, or return the launch that it asks for.

    Whoever calls the runner without the wrapper gets the same answers. Raises Refusal.
    """
    invocation = parsing.parse(arguments, policy.command_name)
    if invocation.help:
        return _print_help(policy, invocation)
    if invocation.command.launches:
        return launch_request.for_shell(policy, caller)
    module = import_module(invocation.command.module)
    if not hasattr(module, "run"):
        told: int = module.on_host(policy, invocation)
        return told
    status: int = module.run(Call(policy, caller, accounts.agent(policy), invocation))
    return status


def _print_help(policy: Policy, invocation: Invocation) -> int:
    print(command_table.help_of(invocation.command, policy.command_name))
    return 0
