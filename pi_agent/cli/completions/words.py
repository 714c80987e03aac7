"""What there is to complete, and what the scripts of all shells share."""

from __future__ import annotations

import re
from typing import Final

from pi_agent.cli import command_table
from pi_agent.cli.command_table import Argument, Command
from pi_agent.messages import command_texts

_HELP: Final = Argument("--help", command_texts.USAGE)

# Positional arguments that name a directory of the host. No others are completed.
DIRECTORIES: Final = frozenset({"DIR"})


def flags(command: Command) -> list[Argument]:
    """The arguments that begin with `--`."""
    return [*(each for each in command.arguments if not (each.positional or each.attached)), _HELP]


def positional(command: Command) -> list[Argument]:
    """The positional arguments, in order."""
    return [argument for argument in command.arguments if argument.positional]


def commands_with_arguments() -> list[Command]:
    """The commands whose arguments are completed here: those that follow the others are Pi's."""
    return [command for command in command_table.COMMANDS if not command.before_pi]


def function_name(program: str) -> str:
    """A shell function's name for a program. Those of `pi+` and `pi-` differ."""
    return "_pi_sandbox_" + re.sub(r"[^A-Za-z0-9]", lambda found: f"_{ord(found[0]):x}_", program)


def quoted(text: str) -> str:
    """Text as a word of bash and zsh."""
    return "'" + text.replace("'", "'\\''") + "'"


def script(*lines: str) -> str:
    """Lines as a file's text."""
    return "".join(f"{line}\n" for line in lines)
