"""The one place that turns exceptions into messages and exit statuses.

A user sees one line that says what is wrong, and lines that say what to do; never a traceback.
"""

from __future__ import annotations

import os
import sys

from pi_agent.cli import command_line
from pi_agent.linux import errors, standard_error, timing
from pi_agent.messages import refusals
from pi_agent.messages.refusal import Refusal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

_INTERRUPTED = 128 + 2


def run(command: str, main: Callable[[], int]) -> int:
    """Run main and return the exit status of the whole program.

    Refusals and bugs are printed on standard error, and at the end, if the arguments ask for it, the time of each step.
    """
    given = command_line.arguments()
    if not command_line.is_timed(given):
        return answered(command, main)
    from pi_agent.cli import timing_report  # no other launch needs it

    timing.start()
    status = answered(command, main)
    timing_report.write(command, timing.stop(), as_json=given[0] == command_line.TIMING_JSON)
    return status


def exit_at_once(status: int) -> NoReturn:
    """End the process without the interpreter's clean-up, which the kernel does faster.

    Nothing depends on that clean-up: whoever does something undoes it.
    """
    try:
        sys.stdout.flush()
    except OSError:  # let the interpreter report it
        sys.exit(status)
    os._exit(status)


def answered(command: str, main: Callable[[], int]) -> int:
    """Run main and return the exit status. Refusals and bugs are printed on standard error."""
    try:
        return main()
    except KeyboardInterrupt:
        return _INTERRUPTED
    except Exception as error:  # a bug must neither show a traceback nor look like success
        refusal = as_refusal(error)
        standard_error.say(command, f"{refusal.what}\n{refusal.remedy}")
        return refusal.status


def as_refusal(error: Exception) -> Refusal:
    """The refusal for an error: itself, a failure of the machine, or a bug of ours."""
    if isinstance(error, Refusal):
        return error
    # Both programs are built with everything they import: a module that Python does not find could not be read.
    if isinstance(error, ImportError) or (isinstance(error, OSError) and error.errno in errors.MACHINE_FAULTS):
        return refusals.machine_failed(error)
    return refusals.bug(error)
