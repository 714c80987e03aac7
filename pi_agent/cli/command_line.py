"""The one place that turns exceptions into exit statuses and messages.

A user sees one line saying what is wrong and lines saying what to do; never a traceback.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    pass

# How the commands begin that Pi does not have.
SANDBOX_PREFIX = "--sandbox-"

# What stands before Pi's arguments where it is asked where the time of a launch goes, for people and for programs.
TIMING = "--sandbox-timing"

TIMING_JSON = f"{TIMING}=json"


def arguments() -> list[str]:
    """The program's arguments; bytes that are no UTF-8 are kept as surrogates and go out again as they came."""
    return sys.argv[1:]


def is_sandbox_command(arguments: list[str]) -> bool:
    """Whether these arguments are a command that is done instead of a launch of Pi (pi_agent/commands)."""
    return bool(arguments) and arguments[0].startswith(SANDBOX_PREFIX) and not is_timed(arguments)


def for_pi(arguments: list[str]) -> list[str]:
    """Those of a launch's arguments that are Pi's."""
    return arguments[1:] if is_timed(arguments) else arguments


def is_timed(arguments: list[str]) -> bool:
    return bool(arguments) and arguments[0] in (TIMING, TIMING_JSON)


def needs_no_project(arguments: list[str]) -> bool:
    """Whether these arguments only ask what Pi is or can do: then no project and no configuration is needed."""
    words = for_pi(arguments)
    return len(words) == 1 and words[0] in ("--version", "-v", "--help", "-h")
