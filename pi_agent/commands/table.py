"""What commands there are, with their arguments; and their help, made from that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from pi_agent.program import SANDBOX_PREFIX


@dataclass(frozen=True, slots=True)
class Argument:
    """name: `--json`, or `SESSION` for a positional one, which may be left out. help: one line."""

    name: str
    help: str

    @property
    def positional(self) -> bool:
        return not self.name.startswith("-")


@dataclass(frozen=True, slots=True)
class Command:
    """name: what is typed after `pi`. summary: one line. launches: it is a launch, of something else than Pi."""

    name: str
    summary: str
    arguments: tuple[Argument, ...] = ()
    launches: bool = False

    @property
    def room(self) -> str:
        """The module that does it: `--sandbox-explain` is done in pi_agent.commands.explain."""
        return f"pi_agent.commands.{self.name.removeprefix(SANDBOX_PREFIX)}"


COMMANDS: Final = (
    Command("--sandbox-help", "what these commands are"),
    Command(
        "--sandbox-explain",
        "what a launch here would do and with what, without doing it",
        (Argument("--json", "as one JSON object"),),
    ),
    Command("--sandbox-doctor", "check this installation, and say what to do"),
    Command("--sandbox-shell", "an interactive shell in exactly the sandbox that Pi gets", launches=True),
    Command("--sandbox-status", "your sessions that run now, and what they take", (Argument("--json", "as JSON"),)),
    Command(
        "--sandbox-stop",
        "end a session of yours",
        (Argument("SESSION", "which one, as status calls it; not needed where there is only one"),),
    ),
    Command("--sandbox-sessions", "your transcripts, newest first", (Argument("--json", "as JSON"),)),
    Command(
        "--sandbox-export",
        "copy your transcripts out, as files of your own",
        (Argument("DIR", "where to; by default $XDG_DATA_HOME/pi-agent/sessions"),),
    ),
    Command(
        "--sandbox-reset",
        "remove what your agent keeps: caches and packages",
        (
            Argument("--all", "everything: transcripts, logins and settings made inside, too"),
            Argument("--yes", "do not ask"),
        ),
    ),
)


def named(name: str) -> Command | None:
    """The command of that name."""
    return next((command for command in COMMANDS if command.name == name), None)


def usage(command: Command, program: str) -> str:
    """The command's usage line."""
    words = [f"[{argument.name}]" for argument in command.arguments]
    return " ".join([program, command.name, *words])


def overview(program: str) -> str:
    """All commands with their summaries, as `--sandbox-help` shows them."""
    width = max(len(usage(command, "")) for command in COMMANDS)
    lines = [f"  {program}{usage(command, ''):<{width}}  {command.summary}" for command in COMMANDS]
    return "\n".join([f"Commands of the sandbox that {program} runs in:", "", *lines])


def help_of(command: Command, program: str) -> str:
    """What `--help` after a command shows."""
    lines = [f"usage: {usage(command, program)}", "", f"{command.summary[0].upper()}{command.summary[1:]}."]
    width = max((len(argument.name) for argument in command.arguments), default=0)
    if command.arguments:
        lines += ["", *(f"  {argument.name:<{width}}  {argument.help}" for argument in command.arguments)]
    return "\n".join([*lines, "", f"See also: {program} --sandbox-help"])
