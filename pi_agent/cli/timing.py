"""Where the time of a launch goes, for `--sandbox-timing`. No other launch imports this."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from contextlib import suppress

from pi_agent.linux import standard_error


class Stopwatch:
    """Adds up how long each step takes. It begins with the process, whose start counts as the first step."""

    def __init__(self) -> None:
        self._last = time.monotonic()
        self._steps = {"start": since_start()}

    def lap(self, step: str) -> None:
        """Count the time since the last lap to the step. A step may have several."""
        now = time.monotonic()
        self._steps[step] = self._steps.get(step, 0.0) + now - self._last
        self._last = now

    def stopped(self) -> Mapping[str, float]:
        """Step → seconds, in the order in which they were first done. What no step had is the last: `rest`."""
        self.lap("rest")
        return self._steps


def since_start() -> float:
    """How long ago this process was started, in seconds, as far as the kernel tells: to a hundredth (proc_pid_stat(5),
    starttime)."""
    with open("/proc/self/stat", encoding="utf-8", errors="replace") as file:
        ticks = int(file.read().rpartition(")")[2].split()[19])
    return max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK"))


def tell(command: str, steps: Mapping[str, float], *, as_json: bool) -> None:
    """Write the steps with their seconds, and the sum, to standard error: as a table, or as one line of JSON."""
    if as_json:
        with suppress(OSError):  # nobody is there any more
            os.write(2, rendered(steps))
    else:
        standard_error.say(command, "\n".join(table(steps)))


def rendered(steps: Mapping[str, float]) -> bytes:
    """The line of JSON. Seconds have six decimals."""
    listed = [{"name": step, "seconds": round(seconds, 6)} for step, seconds in steps.items()]
    return json.dumps({"steps": listed, "seconds": round(sum(steps.values()), 6)}).encode() + b"\n"


def table(steps: Mapping[str, float]) -> list[str]:
    """The table's lines, the first of which is its title."""
    rows = [*steps.items(), ("total", sum(steps.values()))]
    width = max(len(step) for step, _ in rows)
    return ["where the time of this launch went, in milliseconds:"] + [
        f"{step:<{width}} {1000 * seconds:9.1f}" for step, seconds in rows
    ]
