"""Starts with a hostile configuration, each held to bounds of processor time and memory."""

from __future__ import annotations

import sys
from pathlib import Path

from support.commands import Result, as_user
from support.hostile import harmless
from support.installed import home

# Seconds and KiB that no start may exceed. A loaded machine is slow; a start that does too much is much slower.
SOON = 30.0
LITTLE = 512 * 1024
PROGRAM = ["pi-probe", "exec", "cat", "/var/lib/pi-probe/.pi/agent/settings.json"]
# Prints the peak of resident memory of all that a command started and waited for, in KiB, as the last line.
_MEASURED = """
import os, sys
pid = os.spawnv(os.P_NOWAIT, "/usr/bin/env", ["env", *sys.argv[1:]])
_, status, usage = os.wait4(pid, 0)
print(f"\\n{usage.ru_utime + usage.ru_stime}\\n{usage.ru_maxrss}", file=sys.stderr)
sys.exit(os.waitstatus_to_exitcode(status))
"""


def configuration() -> Path:
    """The directory of alice's Pi configuration."""
    return home("alice") / ".pi/agent"


def make(script: str, *arguments: str) -> None:
    """Run a shell script as alice, in her configuration."""
    as_user("alice", "sh", "-euc", script, "sh", *arguments, cwd=configuration(), timeout=120).ok()


def start() -> Result:
    """A start, held to its bounds of processor time and memory."""
    result = as_user("alice", sys.executable, "-I", "-c", _MEASURED, *PROGRAM, timeout=300)
    *lines, took, peak = result.stderr.rstrip(b"\n").split(b"\n")
    assert float(took) < SOON, f"it took {float(took):.0f} seconds"
    assert int(peak) < LITTLE, f"it took {int(peak) // 1024} MiB of memory"
    measured = Result(result.status, result.stdout, b"\n".join(lines).rstrip(b"\n"))
    harmless(measured)
    return measured
