"""What `--sandbox-timing` prints after a launch. No other launch imports this."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress

from pi_agent.linux import standard_error
from pi_agent.messages import command_output


def write(command: str, steps: Mapping[str, float], *, as_json: bool) -> None:
    """Write the steps with their seconds, and the sum, to standard error: as a table, or as one line of JSON."""
    if as_json:
        with suppress(OSError):  # nobody is listening any more
            os.write(2, rendered(steps))
    else:
        standard_error.say(command, "\n".join(table(steps)))


def rendered(steps: Mapping[str, float]) -> bytes:
    """The line of JSON. Seconds have six decimals."""
    listed = [{"name": step, "seconds": round(seconds, 6)} for step, seconds in steps.items()]
    return json.dumps({"steps": listed, "seconds": round(sum(steps.values()), 6)}).encode() + b"\n"


def table(steps: Mapping[str, float]) -> list[str]:
    """The table's lines, the first of which is its title."""
    rows = [*steps.items(), (command_output.TOTAL, sum(steps.values()))]
    width = max(len(step) for step, _ in rows)
    return [command_output.STEPS_TITLE, *(f"{step:<{width}} {1000 * seconds:9.1f}" for step, seconds in rows)]
