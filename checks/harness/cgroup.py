"""The guest's cgroups on the host.

Each guest has its own. Two guests in one cgroup would stop each other's services, and a guest in its caller's cgroup
would end with the caller. If systemd runs the host, the cgroup is a scope with delegated controllers. Elsewhere (a
container, a plain virtual machine) it is a cgroup named after the guest, in the cgroup v2 tree and in systemd's own v1
tree if it exists. See cgroups(7) and systemd-run(1).
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Final

V2: Final = ""
SYSTEMD_V1: Final = "name=systemd"
# Writes its process ID into each file before "--", then becomes what follows.
JOIN: Final = 'while [ "$1" != -- ]; do echo $$ >"$1" || exit; shift; done; shift; exec "$@"'


def systemd_host() -> bool:
    """Whether systemd manages this host. See sd_booted(3)."""
    return Path("/run/systemd/system").is_dir()


def trees() -> Iterator[tuple[str, Path]]:
    """The mounted cgroup trees that systemd uses, by their name in /proc/PID/cgroup."""
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields, _, tail = line.partition(" - ")
        kind, _, options = tail.split()
        if kind == "cgroup2":
            yield V2, Path(fields.split()[4])
        elif kind == "cgroup" and SYSTEMD_V1 in options.split(","):
            yield SYSTEMD_V1, Path(fields.split()[4])


def of(pid: int | str) -> list[Path]:
    """The folders of a process's cgroups in those trees."""
    lines = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    names = {name: path for _, name, path in (line.split(":", 2) for line in lines)}
    return [mount / names[tree].lstrip("/") for tree, mount in trees() if tree in names]


def named(name: str) -> list[Path]:
    """The existing or future directories of the cgroups called `name`; none on a host that systemd manages."""
    return [] if systemd_host() else [mount / name for _, mount in trees()]


def own(name: str) -> list[str]:
    """The command prefix that starts a command in a cgroup called `name`."""
    if systemd_host():
        return ["systemd-run", "--scope", "--quiet", "--collect", f"--unit={name}", "--property=Delegate=yes", "--"]
    for path in named(name):
        path.mkdir(exist_ok=True)
    return joining(named(name))


def remove(name: str) -> None:
    """Remove the cgroups called `name` and end their processes: a killed guest takes a moment to die."""
    for path in named(name):
        for folder in sorted([path, *path.rglob("*/")], reverse=True):
            if folder.is_dir():
                clear(folder)
                folder.rmdir()


def clear(folder: Path) -> None:
    """Kill the processes of one cgroup, and wait until it is empty."""
    while pids := (folder / "cgroup.procs").read_text().split():
        for pid in map(int, pids):
            with contextlib.suppress(ProcessLookupError):
                handle = os.pidfd_open(pid)
                try:
                    signal.pidfd_send_signal(handle, signal.SIGKILL)
                    select.select([handle], [], [])
                finally:
                    os.close(handle)


def joining(cgroups: list[Path]) -> list[str]:
    """The command prefix that starts a command in these cgroups."""
    return ["sh", "-c", JOIN, "join", *(str(path / "cgroup.procs") for path in cgroups), "--"] if cgroups else []
