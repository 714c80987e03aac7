"""From a sandbox command to the module that runs it: in the wrapper as the host user, then in the runner as root.

A command's module has one or more of these functions:

- `on_host(policy, invocation)`, in the wrapper: returns the arguments for the runner, or the exit status if the runner
  is not needed;
- `ask_runner(policy, invocation, argv)`, in the wrapper: runs the runner itself, by argv, and returns the exit status;
- `run(call)`, in the runner: returns the exit status.
"""

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
    """What the wrapper passes on to the runner."""

    command: Command
    arguments: Sequence[str]


def on_host(policy: Policy, arguments: Sequence[str], runner: str) -> Handover | int:
    """Run a command in the wrapper, as the host user.

    runner: the runner's path. Returns the exit status, or what the runner is to be asked. Raises Refusal (64).
    """
    invocation = parsing.parse(arguments, policy.command_name)
    if invocation.help:
        return _print_help(policy, invocation)
    if invocation.command.launches:
        return Handover(invocation.command, arguments)
    module = import_module(invocation.command.module)
    if hasattr(module, "ask_runner"):
        status: int = module.ask_runner(policy, invocation, [policy.tools.sudo, "-n", "--", runner, *arguments])
        return status
    if not hasattr(module, "on_host"):
        return Handover(invocation.command, arguments)
    answer: Sequence[str] | int = module.on_host(policy, invocation)
    return answer if isinstance(answer, int) else Handover(invocation.command, answer)


def as_root(policy: Policy, caller: Identity, arguments: Sequence[str]) -> Request | int:
    """Run a command in the runner. Returns the exit status, or the launch that the command asks for.

    Who calls the runner without the wrapper gets the same answers. Raises Refusal.
    """
    invocation = parsing.parse(arguments, policy.command_name)
    if invocation.help:
        return _print_help(policy, invocation)
    if invocation.command.launches:
        return launch_request.for_shell(policy, caller)
    module = import_module(invocation.command.module)
    if not hasattr(module, "run"):
        answered: int = module.on_host(policy, invocation)
        return answered
    status: int = module.run(Call(policy, accounts.of(policy, caller), invocation))
    return status


def _print_help(policy: Policy, invocation: Invocation) -> int:
    print(command_table.help_of(invocation.command, policy.command_name))
    return 0
