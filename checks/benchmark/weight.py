"""Memory of processes: the proportional set size, which counts shared memory once (proc_pid_smaps(5))."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from support.commands import login
from support.waiting import PATIENCE

from benchmark.hyperfine import CommandError


def of(pids: Sequence[int]) -> dict[str, int]:
    """KiB of each of these processes, by pid and name."""
    found = {}
    for pid in pids:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="utf-8")
        size = re.search(r"^Pss:\s+(\d+) kB", rollup, re.MULTILINE)
        name = Path(f"/proc/{pid}/comm").read_text(encoding="utf-8").strip()
        found[f"{name} {pid}"] = int(size[1]) if size else 0
    return found


def below(pid: int) -> list[int]:
    """All descendants of this process, without itself."""
    children = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return [each for child in children for each in (child, *below(child))]


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
