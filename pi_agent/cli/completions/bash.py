"""Completion for bash(1), Programmable Completion."""

from __future__ import annotations

from pi_agent.cli import command_table
from pi_agent.cli.command_table import Command
from pi_agent.cli.completions import words
from pi_agent.cli.completions.words import quoted


def script(program: str) -> str:
    """The script. Pi's own arguments are left to readline, which completes files."""
    function = words.function_name(program)
    cases = [_case(command) for command in words.commands_with_arguments()]
    return words.script(
        f"# bash completion of {program}'s sandbox commands.",
        f"{function}() {{",
        "  COMPREPLY=()",
        '  local current=${COMP_WORDS[COMP_CWORD]} flags="" directory="" place=0 values="" word',
        "  if ((COMP_CWORD == 1)); then",
        "    [[ $current == -* ]] || return 0",
        f"    flags={quoted(' '.join(command.name for command in command_table.COMMANDS))}",
        '    mapfile -t COMPREPLY < <(compgen -W "$flags" -- "$current")',
        "    return 0",
        "  fi",
        '  for word in "${COMP_WORDS[@]:2:COMP_CWORD-2}"; do',
        "    if [[ -z $values && $word == -- ]]; then values=1",
        "    elif [[ -n $values || $word != -* ]]; then ((++place)); fi",
        "  done",
        "  case ${COMP_WORDS[1]} in",
        *(f"    {case}" for case in cases),
        "    *) return 0 ;;",
        "  esac",
        "  # Outside of readline there is nothing to set.",
        "  compopt +o default +o bashdefault 2>/dev/null",
        "  if [[ -z $values && $current == -* ]]; then",
        '    mapfile -t COMPREPLY < <(compgen -W "$flags" -- "$current")',
        '  elif [[ $directory == *" $place "* ]]; then',
        "    compopt -o dirnames 2>/dev/null",
        "  fi",
        "}",
        f"complete -o default -o bashdefault -F {function} -- {program}",
    )


def _case(command: Command) -> str:
    """The line that sets what one command has: its flags, and the numbers of the arguments that are directories."""
    flags = " ".join(flag.name for flag in words.flags(command))
    numbers = [
        str(number) for number, argument in enumerate(words.positional(command)) if argument.name in words.DIRECTORIES
    ]
    directory = " directory=" + quoted(f" {' '.join(numbers)} ") if numbers else ""
    return f"{command.name}) flags={quoted(flags)}{directory} ;;"
