"""Parsing the arguments of a sandbox command: flags, and positional arguments that may be left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pi_agent.cli import command_table
from pi_agent.cli.command_table import Command
from pi_agent.messages import command_refusals


@dataclass(frozen=True, slots=True)
class Invocation:
    """A command as it was typed. flags: `--json` and the like; values: the positional arguments by their names.

    help: `--help` was given; then the rest does not count.
    """

    command: Command
    flags: frozenset[str]
    values: dict[str, str]
    help: bool


def parse(arguments: Sequence[str], program: str) -> Invocation:
    """Parse arguments, the first of which starts with `--sandbox-`.

    program: the name of the user's command. Raises Refusal (64) that names the unknown command or argument.
    """
    name, *rest = arguments
    command = command_table.named(name)
    if command is None:
        raise command_refusals.command_unknown(name, program, [known.name for known in command_table.COMMANDS])
    if "--help" in rest or "-h" in rest:
        return Invocation(command, frozenset(), {}, help=True)
    flags: set[str] = set()
    values: dict[str, str] = {}
    known = {argument.name for argument in command.arguments if not argument.positional}
    places = [argument.name for argument in command.arguments if argument.positional]
    only_values = False
    for word in rest:
        if word == "--" and not only_values:
            only_values = True
        elif word.startswith("-") and not only_values:
            if word not in known:
                raise command_refusals.argument_unknown(name, word, command_table.usage(command, program))
            flags.add(word)
        elif len(values) < len(places):
            values[places[len(values)]] = word
        else:
            raise command_refusals.argument_unknown(name, word, command_table.usage(command, program))
    return Invocation(command, frozenset(flags), values, help=False)
