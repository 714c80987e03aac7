"""What the arguments of `pi` mean before Pi sees them."""

from __future__ import annotations

import sys
from collections.abc import Sequence

# What sandbox commands start with.
SANDBOX_PREFIX = "--sandbox-"
# Before Pi's arguments, these two ask for the time of each step of the launch: as a table, or as JSON.
TIMING = "--sandbox-timing"
TIMING_JSON = f"{TIMING}=json"


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


def needs_no_project(arguments: Sequence[str]) -> bool:
    """Whether these arguments only ask for Pi's version or help: then no project and no configuration is needed."""
    words = for_pi(arguments)
    return len(words) == 1 and words[0] in ("--version", "-v", "--help", "-h")
