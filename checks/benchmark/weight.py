"""Memory of processes: the proportional set size, which counts shared memory once (proc_pid_smaps(5))."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from support.commands import login
from support.waiting import PATIENCE

from benchmark.hyperfine import CommandError


def of(pids: Sequence[int]) -> dict[str, int]:
    """KiB of each of these processes, by pid and name. One that has ended, waited for or not, has none."""
    found = {}
    for pid in pids:
        try:
            rollup = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="utf-8")
            name = Path(f"/proc/{pid}/comm").read_text(encoding="utf-8").strip()
        except (FileNotFoundError, ProcessLookupError):
            continue
        size = re.search(r"^Pss:\s+(\d+) kB", rollup, re.MULTILINE)
        found[f"{name} {pid}"] = int(size[1]) if size else 0
    return found


def below(pid: int) -> list[int]:
    """All descendants of this process, without itself."""
    children = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return [each for child in children for each in (child, *below(child))]


def everything() -> frozenset[int]:
    """All processes of the machine."""
    return frozenset(int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())


def outside(pid: int, before: Collection[int]) -> list[int]:
    """What belongs to a login, without its first process pid and without the session's unit.

    Its descendants, and the processes in their control groups that were not there before: whoever waits for the end of
    a session may have left its parent.
    """
    found = below(pid)
    groups = {_group(each) for each in found}
    others = everything().difference(before, found, (pid,))
    return [*found, *sorted(each for each in others if _group(each) in groups)]


def _group(pid: int) -> str:
    """The control group of a process (cgroups(7)); empty if the process has ended."""
    try:
        lines = Path(f"/proc/{pid}/cgroup").read_text(encoding="utf-8").splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return ""
    return next((line for line in lines if line.startswith("0::")), "")


@contextmanager
def running(user: str, words: Sequence[str]) -> Iterator[int]:
    """A command of the user that prints a line when it has started, and ends with its input. Yields its login's pid."""
    pipe = subprocess.PIPE
    client = subprocess.Popen(login(user, words), stdin=pipe, stdout=pipe, stderr=pipe, cwd="/", start_new_session=True)
    try:
        if client.stdout is None or not client.stdout.readline():
            raise CommandError(words, client.communicate()[1].decode())
        yield client.pid
    finally:
        client.communicate(timeout=PATIENCE)
