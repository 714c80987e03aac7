"""How long each step of a launch takes, for `--sandbox-timing`. Call `mark` at the end of each step.

There is one stopwatch per process. Without `--sandbox-timing` it never starts, and `mark` does nothing.
"""

from __future__ import annotations

import os
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


class _Stopwatch:
    """Adds up the time that each step takes. The first step, `start`, begins with the process."""

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
    """Start measuring. The time since the process started is the step `start`."""
    global _running
    _running = _Stopwatch()


def is_running() -> bool:
    """Whether this launch is measured."""
    return _running is not None


def mark(step: str) -> None:
    """Add the time since the last mark to step, which may be marked several times."""
    if _running is not None:
        _running.mark(step)


def stop() -> Mapping[str, float]:
    """Stop, and return step → seconds, in the order of first marks. The time since the last mark is `rest`."""
    global _running
    stopwatch, _running = _running, None
    return {} if stopwatch is None else stopwatch.stop()


def since_start() -> float:
    """The age of this process in seconds, to a hundredth (proc_pid_stat(5), starttime)."""
    with open("/proc/self/stat", encoding="utf-8", errors="replace") as file:
        ticks = int(file.read().rpartition(")")[2].split()[19])
    return max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK"))
