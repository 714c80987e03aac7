"""What a session keeps outside the sandbox while Pi runs: sudo, the runner as a shell, its guard, and systemd-run."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterable
from pathlib import Path

from support.processes import Process, ours
from support.waiting import until


def program(process: Process) -> str:
    """The name of the program that the process runs."""
    return os.path.basename(os.readlink(f"/proc/{process.pid}/exe")).removesuffix(" (deleted)")


def _shell() -> Process | None:
    found = ours()["runner"]
    try:
        return found[0] if len(found) == 1 and program(found[0]) == "bash" and _listens(found[0]) else None
    except (FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
        return None


def _listens(shell: Process) -> bool:
    """Whether it has a trap for the last of its signals: before, a signal ends it, and its guard does the rest."""
    status = Path(f"/proc/{shell.pid}/status").read_text(encoding="utf-8")
    [caught] = re.findall(r"^SigCgt:\t(\w+)$", status, re.MULTILINE)
    return bool(int(caught, 16) >> signal.SIGURG - 1 & 1)


def waiting() -> Process:
    """The runner of the only session, once it is the shell that waits."""
    found = until(_shell, "the runner is the shell that waits")
    assert found is not None
    return found


def proportional_size(processes: Iterable[Process]) -> int:
    """Their memory in KiB, of which each counts its part of what is shared (proc_pid_smaps(5))."""
    texts = (Path(f"/proc/{each.pid}/smaps_rollup").read_text(encoding="utf-8") for each in processes)
    return sum(int(size) for text in texts for size in re.findall(r"^Pss:\s+(\d+) kB", text, re.MULTILINE))


def seconds_used(process: Process) -> float:
    """The processor time of a process, in whatever programs it was."""
    fields = Path(f"/proc/{process.pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
