"""What the arguments of `pi` mean before Pi sees them."""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

# What sandbox commands start with.
SANDBOX_PREFIX = "--sandbox-"
# Before Pi's arguments, these two ask for the time of each step of the launch: as a table, or as JSON.
TIMING = "--sandbox-timing"
TIMING_JSON = f"{TIMING}=json"

# Commands of Pi that need no project, some of them unless they are told to change the project's own settings.
_COMMANDS = frozenset({"auth", "list", "mcp", "update"})
_COMMANDS_FOR_USER_OR_PROJECT = frozenset({"config", "install", "remove", "uninstall"})


def arguments() -> list[str]:
    """The program's arguments. Bytes that are not UTF-8 are kept as surrogates and leave the program unchanged."""
    return sys.argv[1:]


def is_sandbox_command(arguments: Sequence[str]) -> bool:
    """Whether these arguments are a sandbox command (pi_agent/cli/commands), not a launch of Pi."""
    return bool(arguments) and arguments[0].startswith(SANDBOX_PREFIX) and not is_timed(arguments)


def for_pi(arguments: Sequence[str]) -> Sequence[str]:
    """The arguments of a launch that are for Pi."""
    return arguments[1:] if is_timed(arguments) else arguments


def is_timed(arguments: Sequence[str]) -> bool:
    """Whether these arguments ask for the time of each step of the launch."""
    return bool(arguments) and arguments[0] in (TIMING, TIMING_JSON)


def needs_no_configuration(arguments: Sequence[str]) -> bool:
    """Whether these arguments only ask for Pi's version or help: then no project and no configuration is needed."""
    words = for_pi(arguments)
    return len(words) == 1 and words[0] in ("--version", "-v", "--help", "-h")


def needs_no_project(arguments: Sequence[str], before: Sequence[str]) -> bool:
    """Whether Pi can do what these arguments ask for where no project is: then one is mounted only if there is one.

    before: the arguments that the policy puts before them. Pi takes only its first argument for a command.
    """
    if needs_no_configuration(arguments):
        return True
    words = for_pi(arguments)
    if before or not words:
        return False
    command, *rest = words
    if command == "--list-models":
        return len(rest) <= 1 and not any(word.startswith("-") for word in rest)
    if command in _COMMANDS_FOR_USER_OR_PROJECT:
        return not {"-l", "--local"} & {*rest} or bool({"-h", "--help"} & {*rest})
    return command in _COMMANDS
