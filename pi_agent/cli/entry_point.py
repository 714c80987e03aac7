"""The one place that turns exceptions into exit statuses and messages.

A user sees one line saying what is wrong and lines saying what to do; never a traceback.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

from pi_agent.cli import command_line
from pi_agent.linux import errors, standard_error
from pi_agent.messages import refusals
from pi_agent.messages.refusal import Refusal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

# Called with the name of a step of a launch when that has ended.
Lap = Callable[[str], None]

_INTERRUPTED = 128 + 2


def untimed(_step: str) -> None:
    """The Lap of a launch of which nobody asked where its time goes."""


def run(command: str, main: Callable[[Lap], int]) -> int:
    """Run main and return the exit status of the whole program; refusals and bugs are told on standard error, and at
    the end, where that was asked for, where the time went.
    """
    if not command_line.is_timed(command_line.arguments()):
        return _run(command, main, untimed)
    from pi_agent.cli import timing  # no other launch waits for it

    watch = timing.Stopwatch()
    status = _run(command, main, watch.lap)
    timing.tell(command, watch.stopped(), as_json=command_line.arguments()[0] == command_line.TIMING_JSON)
    return status


def exit_at_once(status: int) -> NoReturn:
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
    if isinstance(error, ImportError) or (isinstance(error, OSError) and error.errno in errors.MACHINE_FAULTS):
        return refusals.machine_failed(error)
    return refusals.bug(error)


def _tell(command: str, refusal: Refusal) -> int:
    standard_error.say(command, f"{refusal.what}\n{refusal.remedy}")
    return refusal.status
