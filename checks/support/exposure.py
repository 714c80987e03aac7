"""The exposure level of the sandbox in systemd's own measure, with the real Pi at work in it."""

from __future__ import annotations

import re
import subprocess

from support.commands import as_user, login, on_machine
from support.installed import demo
from support.units import units
from support.waiting import until

AT_MOST = 1.2
# Pi asks the model, which requests this command, so a real tool call runs during the measurement.
WAITING = "run: touch started; until test -e stop; do sleep 0.05; done; echo finished"


def exposure(unit: str) -> float:
    """The overall exposure level that systemd-analyze(1) reports for a running unit."""
    report = on_machine("systemd-analyze", "security", "--no-pager", unit).text
    overall = re.search(r"Overall exposure level for \S+: ([0-9.]+)", report)
    assert overall, report
    return float(overall.group(1))


def at_work() -> float:
    """The exposure level of a session of the real Pi that runs a tool."""
    with subprocess.Popen(login("alice", ["pi", "-p", WAITING]), stdout=subprocess.PIPE, cwd="/") as client:
        try:
            until(lambda: (demo("alice") / "started").exists(), "the bash tool runs")
            [unit] = units("alice")
            level = exposure(unit)
        finally:
            as_user("alice", "touch", "stop").ok()
        output, _ = client.communicate(timeout=30)
        assert client.returncode == 0
        assert b"finished" in output
    return level
