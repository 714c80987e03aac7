"""How long each step of a launch takes, for `--sandbox-timing`: `mark` at the end of each step.

One stopwatch for the process. A launch that was not asked where its time goes never starts it, and `mark` does nothing.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping


class _Stopwatch:
    """Adds up how long each step takes. It begins with the process, whose start counts as the first step."""

    def __init__(self) -> None:
        self._last = time.monotonic()
        self._steps = {"start": since_start()}

    def mark(self, step: str) -> None:
        now = time.monotonic()
        self._steps[step] = self._steps.get(step, 0.0) + now - self._last
        self._last = now

    def stop(self) -> Mapping[str, float]:
        self.mark("rest")
        return self._steps


_running: _Stopwatch | None = None


def start() -> None:
    """Measure from now on; what passed since the process was started is the step `start`."""
    global _running
    _running = _Stopwatch()


def mark(step: str) -> None:
    """Count the time since the last mark to the step, which may have several."""
    if _running is not None:
        _running.mark(step)


def stop() -> Mapping[str, float]:
    """Step → seconds, in the order in which they first ended; the time since the last mark is `rest`."""
    global _running
    stopwatch, _running = _running, None
    return {} if stopwatch is None else stopwatch.stop()


def since_start() -> float:
    """How long ago this process was started, in seconds, to a hundredth (proc_pid_stat(5), starttime)."""
    with open("/proc/self/stat", encoding="utf-8", errors="replace") as file:
        ticks = int(file.read().rpartition(")")[2].split()[19])
    return max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK"))
