"""Tab completion for bash, zsh and fish, and the manual page, pi-sandbox(1): all made from `table`.

Run while building, as `python3 -m pi_agent.cli.completions NAME DIRECTORY`; nothing that a user calls imports it.
What the shells get has no program in it that would have to be started at each tab.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from pi_agent.cli import command_table, manual_page
from pi_agent.cli.command_table import Argument, Command

_HELP: Final = Argument("--help", "how the command is used, instead of doing it")
# Positional arguments that name a directory of the host. All others are completed by nothing.
_DIRECTORIES: Final = frozenset({"DIR"})


def pages(program: str) -> Mapping[str, str]:
    """What is to be installed: path below the package → text. program: what the user's command is called."""
    renderers: Mapping[str, Callable[[str], str]] = {
        f"share/bash-completion/completions/{program}": bash,
        f"share/zsh/site-functions/_{program}": zsh,
        f"share/fish/vendor_completions.d/{program}.fish": fish,
        f"share/man/man1/{program}-sandbox.1": manual_page.manual,
    }
    return {path: render(program) for path, render in renderers.items()}


def _flags(command: Command) -> list[Argument]:
    return [*(each for each in command.arguments if not (each.positional or each.attached)), _HELP]


def _places(command: Command) -> list[Argument]:
    return [argument for argument in command.arguments if argument.positional]


def _own() -> list[Command]:
    """The commands that have arguments of their own to be completed."""
    return [command for command in command_table.COMMANDS if not command.before_pi]


def _identifier(program: str) -> str:
    """A function's name for a program's: `pi+` and `pi-` must not be one."""
    return "_pi_sandbox_" + re.sub(r"[^A-Za-z0-9]", lambda found: f"_{ord(found[0]):x}_", program)


# -- bash(1), Programmable Completion


def bash(program: str) -> str:
    """Everything of Pi's own is left to readline, which completes files."""
    function = _identifier(program)
    cases = [line for command in _own() for line in _bash_case(command)]
    return lines(
        f"# Completion of {program}'s commands of the sandbox, for bash.",
        f"{function}() {{",
        "  COMPREPLY=()",
        '  local current=${COMP_WORDS[COMP_CWORD]} flags="" directory="" place=0 values="" word',
        "  if ((COMP_CWORD == 1)); then",
        "    [[ $current == -* ]] || return 0",
        f"    flags={_quoted(' '.join(command.name for command in command_table.COMMANDS))}",
        '    mapfile -t COMPREPLY < <(compgen -W "$flags" -- "$current")',
        "    return 0",
        "  fi",
        '  for word in "${COMP_WORDS[@]:2:COMP_CWORD-2}"; do',
        "    if [[ -z $values && $word == -- ]]; then values=1",
        "    elif [[ -n $values || $word != -* ]]; then ((++place)); fi",
        "  done",
        "  case ${COMP_WORDS[1]} in",
        *(f"    {line}" for line in cases),
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


def _bash_case(command: Command) -> list[str]:
    flags = " ".join(flag.name for flag in _flags(command))
    directories = [str(at) for at, place in enumerate(_places(command)) if place.name in _DIRECTORIES]
    numbers = " directory=" + _quoted(f" {' '.join(directories)} ") if directories else ""
    return [f"{command.name}) flags={_quoted(flags)}{numbers} ;;"]


# -- zshcompsys(1)


def zsh(program: str) -> str:
    """An autoloaded function: what Pi has itself is completed as for an unknown command."""
    return lines(
        f"#compdef {program}",
        f"# Completion of {program}'s commands of the sandbox, for zsh.",
        "local -a known=(",
        *(f"  {_quoted(f'{command.name}:{command.summary}')}" for command in command_table.COMMANDS),
        ")",
        "if (( CURRENT == 2 )) && [[ $PREFIX == -* ]]; then",
        "  _describe -o 'command of the sandbox' known",
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
        *(line for command in _own() for line in _zsh_case(command)),
        "  *) _default ;;",
        "esac",
    )


def _zsh_case(command: Command) -> list[str]:
    words = [_quoted(f"{flag.name}[{_escaped(flag.help)}]") for flag in _flags(command)]
    for place in _places(command):
        # A plain " " would keep the flags from being offered as well (zshcompsys(1), _arguments).
        action = "_path_files -/" if place.name in _DIRECTORIES else f'_guard "^-*" {place.name}'
        # Two colons, for one that may be left out, would offer the next place here as well.
        words.append(_quoted(f":{_escaped(f'{place.name}, {place.help}')}:{action}"))
    return [f"  {command.name}) _arguments -S {' '.join(words)} ;;"]


# -- fish's complete(1)


def fish(program: str) -> str:
    """Conditions look at the words before the cursor; files are fish's own default, and are Pi's."""
    function = _identifier(program)
    complete = f"complete -c {program} -n"
    rows: list[str] = []
    for command in command_table.COMMANDS:
        rows.append(f"{complete} '{function}' {_fish_option(Argument(command.name, command.summary))}")
    for command in _own():
        here = f"'{function} {command.name}'"
        rows += [f"{complete} {here} -f", *(f"{complete} {here} {_fish_option(flag)}" for flag in _flags(command))]
        for at, place in enumerate(_places(command)):
            if place.name in _DIRECTORIES:
                rows.append(f"{complete} '{function} {command.name} {at}' -a '(__fish_complete_directories)'")
    return lines(
        f"# Completion of {program}'s commands of the sandbox, for fish.",
        f"function {function} --description 'Whether the command, or an argument of it, is next'",
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
        *rows,
    )


def _fish_option(argument: Argument) -> str:
    text = argument.help.replace("\\", "\\\\").replace("'", "\\'")
    return f"-l {argument.name.removeprefix('--')} -d '{text}'"


# -- all


def _quoted(text: str) -> str:
    """A word of bash and zsh."""
    return "'" + text.replace("'", "'\\''") + "'"


def _escaped(text: str) -> str:
    """Text for a place of zsh's _arguments where brackets and colons end it."""
    return re.sub(r"[\[\]:\\]", lambda found: f"\\{found[0]}", text)


def lines(*lines: str) -> str:
    return "".join(f"{line}\n" for line in lines)


def main(arguments: Sequence[str]) -> None:
    """Write the pages for the command of this name below the directory."""
    program, directory = arguments
    for name, text in pages(program).items():
        path = Path(directory, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
