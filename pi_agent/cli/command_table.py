"""The sandbox commands with their arguments, and the help that is made from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from pi_agent.cli.command_line import SANDBOX_PREFIX, TIMING
from pi_agent.messages import command_texts

# Stands for Pi's own arguments in a usage line.
OF_PI: Final = "[...]"


@dataclass(frozen=True, slots=True)
class Argument:
    """name: `--json`; or `SESSION`, for a positional argument; or `=json`, attached to the command's own name. All may
    be left out. help: a phrase.
    """

    name: str
    help: str

    @property
    def positional(self) -> bool:
        return not self.name.startswith(("-", "="))

    @property
    def attached(self) -> bool:
        return self.name.startswith("=")


@dataclass(frozen=True, slots=True)
class Command:
    """name: what is typed after `pi`. summary: a phrase. launches: it launches something else than Pi.

    before_pi: it launches Pi, with all arguments that follow. The entry point handles it; it has no module.
    """

    name: str
    summary: str
    arguments: tuple[Argument, ...] = ()
    launches: bool = False
    before_pi: bool = False

    @property
    def module(self) -> str:
        """The module that runs it: pi_agent.cli.commands.explain for `--sandbox-explain`."""
        return f"pi_agent.cli.commands.{self.name.removeprefix(SANDBOX_PREFIX)}"


_JSON: Final = Argument("--json", command_texts.JSON)

COMMANDS: Final = (
    Command("--sandbox-help", command_texts.HELP),
    Command("--sandbox-explain", command_texts.EXPLAIN, (Argument("--json", command_texts.EXPLAIN_JSON),)),
    Command("--sandbox-doctor", command_texts.DOCTOR),
    Command("--sandbox-shell", command_texts.SHELL, launches=True),
    Command("--sandbox-status", command_texts.STATUS, (_JSON,)),
    Command("--sandbox-stop", command_texts.STOP, (Argument("SESSION", command_texts.STOP_SESSION),)),
    Command("--sandbox-sessions", command_texts.SESSIONS, (_JSON,)),
    Command("--sandbox-export", command_texts.EXPORT, (Argument("DIR", command_texts.EXPORT_DIR),)),
    Command(
        "--sandbox-reset",
        command_texts.RESET,
        (Argument("--all", command_texts.RESET_ALL), Argument("--yes", command_texts.RESET_YES)),
    ),
    Command(TIMING, command_texts.TIMING, (Argument("=json", command_texts.TIMING_JSON),), before_pi=True),
)


def named(name: str) -> Command | None:
    """The command of that name."""
    return next((command for command in COMMANDS if command.name == name), None)


def usage(command: Command, program: str) -> str:
    """The command's usage line, without the word usage."""
    name = command.name + "".join(f"[{argument.name}]" for argument in command.arguments if argument.attached)
    words = [f"[{argument.name}]" for argument in command.arguments if not argument.attached]
    return " ".join([program, name, *words, *([OF_PI] if command.before_pi else [])])


def overview(program: str) -> str:
    """All commands with their summaries, as `--sandbox-help` prints them."""
    width = max(len(usage(command, "")) for command in COMMANDS)
    lines = [f"  {program}{usage(command, ''):<{width}}  {command.summary}" for command in COMMANDS]
    return "\n".join([command_texts.overview_title(program), "", *lines])


def help_of(command: Command, program: str) -> str:
    """What `--help` after a command prints."""
    lines = [command_texts.usage(usage(command, program)), "", command_texts.sentence(command.summary)]
    width = max((len(argument.name) for argument in command.arguments), default=0)
    if command.arguments:
        lines += ["", *(f"  {argument.name:<{width}}  {argument.help}" for argument in command.arguments)]
    return "\n".join([*lines, "", command_texts.see_also(program)])
