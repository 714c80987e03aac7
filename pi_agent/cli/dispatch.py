"""From a typed command to the room that does it: once in the wrapper, as the host user, and once in the runner."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module

from pi_agent.cli import command_table
from pi_agent.cli import parsing
from pi_agent.cli.command_table import Command
from pi_agent.cli.parsing import Request
from pi_agent.linux.identities import Identity
from pi_agent.policy.policy_file import Policy


@dataclass(frozen=True, slots=True)
class Call:
    """A request on its way through the runner: who asked, and who the agent is."""

    policy: Policy
    caller: Identity
    agent: Identity
    request: Request


@dataclass(frozen=True, slots=True)
class Handover:
    """What the runner is to be asked."""

    command: Command
    arguments: Sequence[str]


def on_host(policy: Policy, arguments: Sequence[str], runner: str) -> Handover | int:
    """What the wrapper does with a command, as the host user: answer it and return the exit status, or say what the
    runner is to be asked, with what only the user's side knows filled in. A room with `asking` asks it by itself.

    runner: its path.
    Raises Refusal (64).
    """
    request = parsing.parse(arguments, policy.command_name)
    if request.help:
        return _helped(policy, request)
    if request.command.launches:
        return Handover(request.command, arguments)
    room = import_module(request.command.room)
    if hasattr(room, "asking"):
        status: int = room.asking(policy, request, [policy.tools.sudo, "-n", "--", runner, *arguments])
        return status
    prepare = getattr(room, "on_host", None)
    answer: Sequence[str] | int = arguments if prepare is None else prepare(policy, request)
    return answer if isinstance(answer, int) else Handover(request.command, answer)


def as_root(call: Call) -> int | None:
    """Do the command and return the exit status; None for one that is a launch. Raises Refusal.

    Whoever calls the runner without the wrapper gets the same answers.
    """
    if call.request.help:
        return _helped(call.policy, call.request)
    if call.request.command.launches:
        return None
    room = import_module(call.request.command.room)
    status: int = room.run(call) if hasattr(room, "run") else room.on_host(call.policy, call.request)
    return status


def _helped(policy: Policy, request: Request) -> int:
    print(command_table.help_of(request.command, policy.command_name))
    return 0
