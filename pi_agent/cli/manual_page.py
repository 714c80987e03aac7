"""Tab completion for bash, zsh and fish, and the manual page, pi-sandbox(1): all made from `table`.

Run while building, as `python3 -m pi_agent.cli.completions NAME DIRECTORY`; nothing that a user calls imports it.
What the shells get has no program in it that would have to be started at each tab.
"""

from __future__ import annotations

from typing import Final

from pi_agent.cli import command_table, completions
from pi_agent.cli.command_table import Argument, Command

# -- man(7)

_STATUSES: Final = (
    ("0", "The command did what it says."),
    ("64", "There is no such command, or it does not take such an argument."),
    ("65", "Something in your own configuration is wrong; the message names the file and the place."),
    ("69", "sudo, systemd, a mount or the disk failed."),
    ("70", "A bug of pi-agent."),
    ("77", "Not permitted: who you are, or where you are."),
    ("78", "The installation or its policy is broken."),
)
_OPTIONS: Final = "/run/current-system/sw/share/doc/pi-agent/options.md"


def manual(program: str) -> str:
    """The page in man(7)'s macros, of which groff(1) and mandoc(1) know all."""
    commands = [line for command in command_table.COMMANDS for line in _manual_entry(command, program)]
    statuses = [line for status, meaning in _STATUSES for line in (".TP", f".B {status}", _roff(meaning))]
    return completions.lines(
        f'.TH {_roff(program.upper())}\\-SANDBOX 1 "" pi\\-agent "User Commands"',
        ".SH NAME",
        f"{_roff(program)}\\-sandbox \\- commands of the sandbox that the Pi coding agent runs in",
        ".SH SYNOPSIS",
        f".B {_roff(program)}",
        "[\\fIARGUMENT\\fR ...]",
        ".br",
        f".B {_roff(program)} \\-\\-sandbox\\-\\fICOMMAND\\fR",
        "[\\fIARGUMENT\\fR ...]",
        ".SH DESCRIPTION",
        f".B {_roff(program)}",
        _roff("starts the Pi coding agent in the directory you are in, as an isolated system user in a hardened"),
        _roff("systemd unit that sees the allowed project root around that directory, state of its own, a read-only"),
        _roff("system, and nothing else of yours. All arguments are Pi's: see"),
        f'.BR "{_roff(program)} \\-\\-help" .',
        ".PP",
        _roff(
            "Where the first argument is one of the commands below, it is done instead. Each concerns the person who"
        ),
        _roff("calls it, and none shows or changes anything of another's."),
        ".SH COMMANDS",
        *commands,
        ".SH EXIT STATUS",
        _roff("Pi's own where Pi ran, or 128 + n where signal n ended it. Otherwise:"),
        *statuses,
        ".PP",
        _roff("A refusal is one line on standard error that says what is wrong, and below it what to do."),
        ".SH FILES",
        ".TP",
        ".I ~/.pi/agent",
        _roff(
            "Your Pi configuration, unless the administrator named another. It is read at each start, never written."
        ),
        ".TP",
        ".I ~/.pi/.env",
        _roff("Variables for Pi, a NAME=value a line: API keys, for instance."),
        ".TP",
        f".I {_roff(_OPTIONS)}",
        _roff("All options of the NixOS module."),
        ".SH EXAMPLES",
        ".EX",
        f"$ {_roff(f'cd ~/projects/anything && {program}')}",
        "$ " + _roff(f"{program} -p 'what does this project do?'"),
        *(f"$ {_roff(f'{program} {command.name}')}" for command in command_table.COMMANDS if command.launches),
        ".EE",
        ".SH SEE ALSO",
        ".BR sudo (8),",
        ".BR systemd.exec (5),",
        ".BR journalctl (1)",
        ".PP",
        _roff("All options of the module, m3ta.pi-agent, with types, defaults and examples:"),
        f".I {_roff(_OPTIONS)}",
    )


def _manual_entry(command: Command, program: str) -> list[str]:
    arguments = [_manual_argument(argument) for argument in command.arguments]
    usage = f"\\fB{_roff(f'{program} {command.name}')}\\fR"
    for argument, word in zip(command.arguments, arguments, strict=True):
        usage += f"[{word}]" if argument.attached else f" [{word}]"
    lines = [".TP", f"{usage} {_roff(command_table.OF_PI)}" if command.before_pi else usage]
    lines.append(_roff(f"{command.summary[0].upper()}{command.summary[1:]}."))
    if command.arguments:
        lines.append(".RS")
        for argument, word in zip(command.arguments, arguments, strict=True):
            lines += [".TP", word, _roff(f"{argument.help[0].upper()}{argument.help[1:]}.")]
        lines.append(".RE")
    return lines


def _manual_argument(argument: Argument) -> str:
    return f"\\f{'I' if argument.positional else 'B'}{_roff(argument.name)}\\fR"


def _roff(text: str) -> str:
    """Text as a line of roff: what has a meaning there, and what is not ASCII, escaped; see groff_char(7)."""
    escaped = text.replace("\\", "\\(rs").replace("-", "\\-").replace("'", "\\(aq").replace('"', "\\(dq")
    escaped = "".join(char if char.isascii() else f"\\[u{ord(char):04X}]" for char in escaped)
    return f"\\&{escaped}" if escaped.startswith(".") else escaped
