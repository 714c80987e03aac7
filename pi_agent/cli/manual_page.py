"""The manual page, pi-sandbox(1), in man(7)'s macros, of which groff(1) and mandoc(1) know all."""

from __future__ import annotations

from typing import Final

from pi_agent.cli import command_table
from pi_agent.cli.command_table import Argument, Command
from pi_agent.messages import command_texts, manual_texts, statuses

_OPTIONS: Final = "/run/current-system/sw/share/doc/pi-agent/options.md"


def manual(program: str) -> str:
    """The whole page. program: the name of the user's command."""
    sections = (_opening, _description, _commands, _exit_status, _files, _examples, _see_also)
    return "".join(f"{line}\n" for section in sections for line in section(program))


def _opening(program: str) -> list[str]:
    return [
        f'.TH {_roff(program.upper())}\\-SANDBOX 1 "" pi\\-agent "User Commands"',
        ".SH NAME",
        f"{_roff(program)}\\-sandbox \\- {_roff(manual_texts.NAME)}",
        ".SH SYNOPSIS",
        f".B {_roff(program)}",
        "[\\fIARGUMENT\\fR ...]",
        ".br",
        f".B {_roff(program)} \\-\\-sandbox\\-\\fICOMMAND\\fR",
        "[\\fIARGUMENT\\fR ...]",
    ]


def _description(program: str) -> list[str]:
    return [
        ".SH DESCRIPTION",
        f".B {_roff(program)}",
        _roff(manual_texts.LAUNCH),
        f'.BR "{_roff(program)} \\-\\-help" .',
        ".PP",
        _roff(manual_texts.COMMANDS),
    ]


def _commands(program: str) -> list[str]:
    return [".SH COMMANDS", *(line for command in command_table.COMMANDS for line in _command(command, program))]


def _command(command: Command, program: str) -> list[str]:
    words = [f"\\f{'I' if each.positional else 'B'}{_roff(each.name)}\\fR" for each in command.arguments]
    usage = f"\\fB{_roff(f'{program} {command.name}')}\\fR"
    for argument, word in zip(command.arguments, words, strict=True):
        usage += f"[{word}]" if argument.attached else f" [{word}]"
    if command.before_pi:
        usage += f" {_roff(command_table.OF_PI)}"
    lines = [".TP", usage, _roff(command_texts.sentence(command.summary))]
    if command.arguments:
        entries = zip(command.arguments, words, strict=True)
        lines += [".RS", *(line for argument, word in entries for line in _argument(argument, word)), ".RE"]
    return lines


def _argument(argument: Argument, word: str) -> list[str]:
    return [".TP", word, _roff(command_texts.sentence(argument.help))]


def _exit_status(_program: str) -> list[str]:
    meanings = {0: manual_texts.SUCCESS, **statuses.MEANINGS}
    return [
        ".SH EXIT STATUS",
        _roff(manual_texts.EXIT_STATUS),
        *(line for status, meaning in meanings.items() for line in (".TP", f".B {status}", _roff(meaning))),
        ".PP",
        _roff(manual_texts.REFUSAL),
    ]


def _files(_program: str) -> list[str]:
    files = {
        "~/.pi/agent": manual_texts.CONFIGURATION,
        "~/.pi/.env": manual_texts.VARIABLES,
        _OPTIONS: manual_texts.OPTIONS,
    }
    return [".SH FILES", *(line for path, text in files.items() for line in (".TP", f".I {_roff(path)}", _roff(text)))]


def _examples(program: str) -> list[str]:
    launches = [command.name for command in command_table.COMMANDS if command.launches]
    lines = [
        f"cd ~/projects/anything && {program}",
        f"{program} -p '{manual_texts.EXAMPLE_PROMPT}'",
        *(f"{program} {name}" for name in launches),
    ]
    return [".SH EXAMPLES", ".EX", *(f"$ {_roff(line)}" for line in lines), ".EE"]


def _see_also(_program: str) -> list[str]:
    return [".SH SEE ALSO", ".BR sudo (8),", ".BR systemd.exec (5),", ".BR journalctl (1)"]


def _roff(text: str) -> str:
    """Text as a line of roff: what has a meaning there, and what is not ASCII, is escaped; see groff_char(7)."""
    escaped = text.replace("\\", "\\(rs").replace("-", "\\-").replace("'", "\\(aq").replace('"', "\\(dq")
    escaped = "".join(char if char.isascii() else f"\\[u{ord(char):04X}]" for char in escaped)
    return f"\\&{escaped}" if escaped.startswith(".") else escaped
