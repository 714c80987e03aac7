"""What the arguments of `pi` mean before Pi sees them."""

from __future__ import annotations

import sys
from collections.abc import Sequence

# How the commands of the sandbox begin.
SANDBOX_PREFIX = "--sandbox-"
# Before Pi's arguments, these two ask where the time of the launch goes: a table, or JSON for programs.
TIMING = "--sandbox-timing"
TIMING_JSON = f"{TIMING}=json"


def arguments() -> list[str]:
    """The program's arguments. Bytes that are not UTF-8 are kept as surrogates and leave the program unchanged."""
    return sys.argv[1:]


def is_sandbox_command(arguments: Sequence[str]) -> bool:
    """Whether these arguments are a command of the sandbox (pi_agent/cli/commands) instead of a launch of Pi."""
    return bool(arguments) and arguments[0].startswith(SANDBOX_PREFIX) and not is_timed(arguments)


def for_pi(arguments: Sequence[str]) -> Sequence[str]:
    """Those of a launch's arguments that are Pi's."""
    return arguments[1:] if is_timed(arguments) else arguments


def is_timed(arguments: Sequence[str]) -> bool:
    """Whether these arguments ask where the time of the launch goes."""
    return bool(arguments) and arguments[0] in (TIMING, TIMING_JSON)


def needs_no_project(arguments: Sequence[str]) -> bool:
    """Whether these arguments only ask what Pi is or can do: then no project and no configuration is needed."""
    words = for_pi(arguments)
    return len(words) == 1 and words[0] in ("--version", "-v", "--help", "-h")
