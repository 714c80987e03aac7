"""Completion for fish's complete(1)."""

from __future__ import annotations

from pi_agent.cli import command_table
from pi_agent.cli.command_table import Argument
from pi_agent.cli.completions import words


def script(program: str) -> str:
    """The script. Conditions look at the words before the cursor. Pi's own arguments are left to fish, which completes
    files."""
    function = words.function_name(program)
    return words.script(
        f"# fish completion of {program}'s sandbox commands.",
        f"function {function} --description 'Test whether a sandbox command, or an argument of it, comes next'",
        "    set -l words (commandline -opc)",
        "    set -e words[1]",
        "    if not set -q argv[1]",
        "        not set -q words[1]",
        "        return",
        "    end",
        '    test "$words[1]" = $argv[1]; or return',
        "    set -q argv[2]; or return 0",
        "    test (count (string match -v -- '-*' $words[2..])) = $argv[2]",
        "end",
        *_rows(program, function),
    )


def _rows(program: str, function: str) -> list[str]:
    """The calls of complete(1), one for each word that is offered."""
    complete = f"complete -c {program} -n"
    rows = [
        f"{complete} '{function}' {_option(Argument(command.name, command.summary))}"
        for command in command_table.COMMANDS
    ]
    for command in words.commands_with_arguments():
        here = f"'{function} {command.name}'"
        rows += [f"{complete} {here} -f", *(f"{complete} {here} {_option(flag)}" for flag in words.flags(command))]
        for number, argument in enumerate(words.positional(command)):
            if argument.name in words.DIRECTORIES:
                rows.append(f"{complete} '{function} {command.name} {number}' -a '(__fish_complete_directories)'")
    return rows


def _option(argument: Argument) -> str:
    text = argument.help.replace("\\", "\\\\").replace("'", "\\'")
    return f"-l {argument.name.removeprefix('--')} -d '{text}'"
