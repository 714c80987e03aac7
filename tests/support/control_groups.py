"""Control groups of sessions, in a directory that stands in for /sys/fs/cgroup."""

from __future__ import annotations

from pathlib import Path

from pi_agent.session.control_group import Machine


def groups(top: Path, first: str = "0::/init.scope\n") -> Machine:
    """A machine whose control groups are below top. first: the control groups of its first process."""
    (top / "first").write_text(first)
    return Machine(str(top / "groups"), str(top / "first"))


def unit(top: Path, *processes: int, below: str = "") -> Path:
    """The control group of u.service, with these processes. below: where systemd's own is."""
    group = top / f"groups{below}/pi.slice/pi-agent.slice/u.service"
    group.mkdir(parents=True, exist_ok=True)
    (group / "cgroup.procs").write_text("".join(f"{each}\n" for each in processes))
    (group / "cgroup.events").write_text(f"populated {int(bool(processes))}\nfrozen 0\n")
    return group
