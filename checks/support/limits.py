"""Whether the limits of a unit have an effect on this machine: systemd sets them, and says nothing if they do not."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from support.commands import on_machine

CGROUPS: Final = Path("/sys/fs/cgroup")
CONTROLLERS: Final = {"cpu", "memory", "pids"}
# A datagram to nobody. It can be sent, unless the unit may reach nothing.
SEND: Final = "echo >/dev/udp/127.0.0.1/9"
# Marks of tests about limits.
NEEDS_LIMITS: Final = "needs_limits"
SHOWS_LIMITS: Final = "shows_limits"


def register(config: pytest.Config) -> None:
    """Register the marks with pytest."""
    config.addinivalue_line("markers", f"{NEEDS_LIMITS}: runs only where the kernel enforces the limits of a unit")
    config.addinivalue_line("markers", f"{SHOWS_LIMITS}: runs everywhere, and proves its denial only there")


def missing() -> str:
    """What this machine lacks to enforce limits; empty if it lacks nothing."""
    available = CGROUPS / "cgroup.controllers"
    if not available.exists():
        return "no cgroup v2 here"
    if lacking := CONTROLLERS - set(available.read_text(encoding="utf-8").split()):
        return f"no cgroup controllers here for {', '.join(sorted(lacking))}"
    unit = ("systemd-run", "--quiet", "--wait", "--pipe", "--property=IPAddressDeny=any")
    if on_machine(*unit, "bash", "-c", SEND).status == 0:
        return "no BPF for cgroups here"
    return ""
