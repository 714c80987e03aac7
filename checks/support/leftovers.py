"""Parts of sessions on the machine, which must not be left behind."""

from __future__ import annotations

import time
from pathlib import Path

from support.installed import STAGING, agents
from support.processes import ours, processes
from support.units import UNITS, listed
from support.waiting import CLEAN_WITHIN


def staged() -> list[Path]:
    """The staging directories of sessions. Each is named after its unit."""
    return sorted(path for path in STAGING.rglob("pi-agent-*") if path.is_dir())


def groups() -> dict[Path, str]:
    """The control groups of sessions, including those without a unit, with the ids of their processes."""
    found = {}
    for path in Path("/sys/fs/cgroup").rglob("pi-agent-*.service"):
        try:
            found[path] = (path / "cgroup.procs").read_text(encoding="utf-8").strip()
        except OSError:  # it is gone, or about to vanish
            continue
    return found


def leftovers() -> list[str]:
    """All parts of sessions: units, processes in control groups, staging directories, mounts, processes.

    An empty control group without a unit is systemd's fault: it gives up on a directory that is not empty when it is to
    be removed, even if it is empty a moment later (unit_prune_cgroup). Scenarios and escapes report these groups at
    their end.
    """
    found = [f"unit {line}" for line in listed(UNITS)]
    found += [f"control group {path} of {pids.split()}" for path, pids in groups().items() if pids]
    found += [f"entry {entry}" for entry in STAGING.rglob("*")]
    mounted = Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()
    found += [f"mount {line}" for line in mounted if f" {STAGING}/" in line]
    running = processes()
    found += [f"{kind} {process}" for kind, group in ours(running).items() for process in group]
    found += [f"process {process}" for process in running if process.uid in agents()]
    return found


def assert_clean(seconds: float = CLEAN_WITHIN) -> None:
    """Wait until nothing of any session exists. Fails with a list of what is left."""
    deadline = time.monotonic() + seconds
    while left := leftovers():
        assert time.monotonic() < deadline, f"left behind after {seconds} seconds: " + "\n".join(left)
        time.sleep(0.02)
