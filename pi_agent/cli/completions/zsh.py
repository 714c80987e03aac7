"""Completion for zsh: an autoloaded function, see zshcompsys(1)."""

from __future__ import annotations

import re

from pi_agent.cli import command_table
from pi_agent.cli.command_table import Command
from pi_agent.cli.completions import words
from pi_agent.cli.completions.words import quoted
from pi_agent.messages import command_texts


def script(program: str) -> str:
    """The script. Pi's own arguments are completed as those of an unknown command."""
    return words.script(
        f"#compdef {program}",
        f"# zsh completion of {program}'s sandbox commands.",
        "local -a known=(",
        *(f"  {quoted(f'{command.name}:{command.summary}')}" for command in command_table.COMMANDS),
        ")",
        "if (( CURRENT == 2 )) && [[ $PREFIX == -* ]]; then",
        f"  _describe -o {quoted(command_texts.GROUP)} known",
        "  return",
        "fi",
        "local chosen=$words[2]",
        "if (( CURRENT == 2 )) || [[ -z ${(M)known:#$chosen:*} ]]; then",
        "  _default",
        "  return",
        "fi",
        "shift words",
        "(( CURRENT-- ))",
        "case $chosen in",
        *(_case(command) for command in words.commands_with_arguments()),
        "  *) _default ;;",
        "esac",
    )


def _case(command: Command) -> str:
    """The line that completes one command's arguments."""
    specs = [quoted(f"{flag.name}[{_escaped(flag.help)}]") for flag in words.flags(command)]
    for argument in words.positional(command):
        # A plain " " would keep the flags from being offered as well (zshcompsys(1), _arguments).
        action = "_path_files -/" if argument.name in words.DIRECTORIES else f'_guard "^-*" {argument.name}'
        # Two colons, for an argument that may be left out, would offer the next one here as well.
        specs.append(quoted(f":{_escaped(f'{argument.name}, {argument.help}')}:{action}"))
    return f"  {command.name}) _arguments -S {' '.join(specs)} ;;"


def _escaped(text: str) -> str:
    """Text for a place of _arguments where brackets and colons end it."""
    return re.sub(r"[\[\]:\\]", lambda found: f"\\{found[0]}", text)
