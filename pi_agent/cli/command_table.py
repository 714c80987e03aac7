"""What commands there are, with their arguments; and their help, made from that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from pi_agent.cli.command_line import SANDBOX_PREFIX, TIMING

# How usage shows that the rest is Pi's.
OF_PI: Final = "[...]"


@dataclass(frozen=True, slots=True)
class Argument:
    """name: `--json`; or `SESSION` for a positional one, which may be left out; or `=json`, at the command's own name.
    help: one line.
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
    """name: what is typed after `pi`. summary: one line. launches: it is a launch, of something else than Pi.

    before_pi: it is a launch of Pi, whose arguments follow, whatever they are; `program` knows it, and no room does it.
    """

    name: str
    summary: str
    arguments: tuple[Argument, ...] = ()
    launches: bool = False
    before_pi: bool = False

    @property
    def module(self) -> str:
        """The module that does it: `--sandbox-explain` is done in pi_agent.cli.commands.explain."""
        return f"pi_agent.cli.commands.{self.name.removeprefix(SANDBOX_PREFIX)}"


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
    Command(
        TIMING,
        "a launch of Pi, and where its time went",
        (Argument("=json", "tell it as one line of JSON"),),
        before_pi=True,
    ),
)


def named(name: str) -> Command | None:
    """The command of that name."""
    return next((command for command in COMMANDS if command.name == name), None)


def usage(command: Command, program: str) -> str:
    """The command's usage line."""
    name = command.name + "".join(f"[{argument.name}]" for argument in command.arguments if argument.attached)
    words = [f"[{argument.name}]" for argument in command.arguments if not argument.attached]
    return " ".join([program, name, *words, *([OF_PI] if command.before_pi else [])])


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
