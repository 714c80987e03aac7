"""Processes that outlive the command that started them: identify, wait for and end them. See pidfd_open(2)."""

from __future__ import annotations

import os
import select
import signal
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Process:
    """A process, distinguished from later ones with the same id."""

    pid: int
    started: str

    def alive(self) -> bool:
        """Whether it still runs. A zombie does not."""
        return started(self.pid) == self.started


def running(pid: int) -> Process:
    """The process that has this id now."""
    return Process(pid, started(pid))


def boot_id() -> str:
    """Identifies the current boot of this host. See random(4)."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def started(pid: int) -> str:
    """When a process started, unique across reboots; empty if it is gone. See proc_pid_stat(5), field 22."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return ""
    return "" if fields[0] == "Z" else f"{boot_id()}/{fields[19]}"


def gone(process: Process, seconds: float) -> bool:
    """Wait for a process to end. Returns whether it has."""
    try:
        handle = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return True
    try:
        return not process.alive() or bool(select.select([handle], [], [], seconds)[0])
    finally:
        os.close(handle)


def stop(process: Process, patience: float) -> None:
    """Ask a process to end with SIGTERM. Kill it after `patience` seconds."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        if process.alive():
            os.kill(process.pid, number)
        if gone(process, patience):
            return
