"""The one place that turns exceptions into exit statuses and messages.

A user sees one line saying what is wrong and lines saying what to do; never a traceback.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

from pi_agent import refusals
from pi_agent.refusals import Refusal

# How the commands begin that Pi does not have.
SANDBOX_PREFIX = "--sandbox-"

_INTERRUPTED = 128 + 2


def say(command: str, text: str) -> None:
    """Write text to standard error, its first line behind the command's name. A lost terminal is not an error."""
    first, *rest = text.split("\n")
    lines = [f"{command}: {first}", *(f"    {line}" for line in rest)]
    try:
        os.write(2, ("\n".join(lines) + "\n").encode("utf-8", "surrogateescape"))
    except OSError:
        pass


def run(command: str, main: Callable[[], int]) -> int:
    """Run main and return the exit status of the whole program; refusals and bugs are told on standard error."""
    try:
        return main()
    except KeyboardInterrupt:
        return _INTERRUPTED
    except Exception as error:  # the last line of defence: a bug must not show a traceback, nor look like success
        return _tell(command, as_refusal(error))


def as_refusal(error: Exception) -> Refusal:
    """What is to be told of an error: a refusal itself, the machine's fault, or a bug of ours."""
    if isinstance(error, Refusal):
        return error
    if isinstance(error, OSError) and error.errno in refusals.MACHINES_FAULTS:
        return refusals.machine_failed(error)
    # Both programs are built with all that they import: where Python does not find it, it could not be read.
    if isinstance(error, ImportError):
        return refusals.machine_failed(error)
    return refusals.bug(error)


def _tell(command: str, refusal: Refusal) -> int:
    say(command, f"{refusal.what}\n{refusal.remedy}")
    return refusal.status


def arguments() -> list[str]:
    """The program's arguments; bytes that are no UTF-8 are kept as surrogates and go out again as they came."""
    return sys.argv[1:]


def about_the_sandbox(arguments: list[str]) -> bool:
    """Whether these arguments are a command that Pi does not have (pi_agent/commands)."""
    return bool(arguments) and arguments[0].startswith(SANDBOX_PREFIX)


def informational(arguments: list[str]) -> bool:
    """Whether these arguments only ask what Pi is or can do: then no project and no configuration is needed."""
    return len(arguments) == 1 and arguments[0] in ("--version", "-v", "--help", "-h")
