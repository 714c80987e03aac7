"""Control groups in a directory."""

from __future__ import annotations

from pathlib import Path

from pi_agent.session.control_group import Machine


def machine(top: Path, groups: str = "0::/init.scope\n") -> Machine:
    """A machine with these control groups of its first process."""
    (top / "first").write_text(groups)
    return Machine(str(top / "groups"), str(top / "first"))


def unit(top: Path, *processes: int, below: str = "") -> None:
    """Make the control group of a unit with these processes."""
    group = top / f"groups{below}/pi.slice/pi-agent.slice/u.service"
    group.mkdir(parents=True, exist_ok=True)
    (group / "cgroup.procs").write_text("".join(f"{each}\n" for each in processes))
