"""The one place that turns exceptions into exit statuses and messages.

A user sees one line saying what is wrong and lines saying what to do; never a traceback.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

from pi_agent import refusals
from pi_agent.refusals import Refusal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

# How the commands begin that Pi does not have.
SANDBOX_PREFIX = "--sandbox-"
# What stands before Pi's arguments where it is asked where the time of a launch goes, for people and for programs.
TIMING = "--sandbox-timing"
TIMING_JSON = f"{TIMING}=json"

# Called with the name of a step of a launch when that has ended.
Lap = Callable[[str], None]

_INTERRUPTED = 128 + 2


def say(command: str, text: str) -> None:
    """Write text to standard error, its first line behind the command's name. A lost terminal is not an error."""
    first, *rest = text.split("\n")
    lines = [f"{command}: {first}", *(f"    {line}" for line in rest)]
    try:
        os.write(2, ("\n".join(lines) + "\n").encode("utf-8", "surrogateescape"))
    except OSError:
        pass


def untimed(_step: str) -> None:
    """The Lap of a launch of which nobody asked where its time goes."""


def run(command: str, main: Callable[[Lap], int]) -> int:
    """Run main and return the exit status of the whole program; refusals and bugs are told on standard error, and at
    the end, where that was asked for, where the time went.
    """
    if not _timed(arguments()):
        return _run(command, main, untimed)
    from pi_agent import timing  # no other launch waits for it

    watch = timing.Stopwatch()
    status = _run(command, main, watch.lap)
    timing.tell(command, watch.stopped(), as_json=arguments()[0] == TIMING_JSON)
    return status


def leave(status: int) -> NoReturn:
    """End the process with a status, at once: what the interpreter would take apart first, the kernel takes as it is.

    Nothing of ours is left for that: what is to be undone is undone where it was done.
    """
    try:
        sys.stdout.flush()
    except OSError:  # the interpreter has its own way to say that
        sys.exit(status)
    os._exit(status)


def _run(command: str, main: Callable[[Lap], int], lap: Lap) -> int:
    try:
        return main(lap)
    except KeyboardInterrupt:
        return _INTERRUPTED
    except Exception as error:  # the last line of defence: a bug must not show a traceback, nor look like success
        return _tell(command, as_refusal(error))


def as_refusal(error: Exception) -> Refusal:
    """What is to be told of an error: a refusal itself, the machine's fault, or a bug of ours."""
    if isinstance(error, Refusal):
        return error
    # Both programs are built with all that they import: where Python does not find it, it could not be read.
    if isinstance(error, ImportError) or (isinstance(error, OSError) and error.errno in refusals.MACHINES_FAULTS):
        return refusals.machine_failed(error)
    return refusals.bug(error)


def _tell(command: str, refusal: Refusal) -> int:
    say(command, f"{refusal.what}\n{refusal.remedy}")
    return refusal.status


def arguments() -> list[str]:
    """The program's arguments; bytes that are no UTF-8 are kept as surrogates and go out again as they came."""
    return sys.argv[1:]


def about_the_sandbox(arguments: list[str]) -> bool:
    """Whether these arguments are a command that is done instead of a launch of Pi (pi_agent/commands)."""
    return bool(arguments) and arguments[0].startswith(SANDBOX_PREFIX) and not _timed(arguments)


def of_pi(arguments: list[str]) -> list[str]:
    """Those of a launch's arguments that are Pi's."""
    return arguments[1:] if _timed(arguments) else arguments


def _timed(arguments: list[str]) -> bool:
    return bool(arguments) and arguments[0] in (TIMING, TIMING_JSON)


def informational(arguments: list[str]) -> bool:
    """Whether these arguments only ask what Pi is or can do: then no project and no configuration is needed."""
    words = of_pi(arguments)
    return len(words) == 1 and words[0] in ("--version", "-v", "--help", "-h")
