"""systemd units and their properties."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

from support.commands import on_machine
from support.waiting import until

UNITS: Final = f"pi-agent-*-{'?' * 16}.service"


def units(user: str = "") -> list[str]:
    """The session units that systemd knows, of one user or of all, including dead ones."""
    return [line.split()[0] for line in listed(f"pi-agent-{user}-*.service" if user else UNITS)]


def every_unit() -> list[str]:
    """Every unit that systemd knows, with its states."""
    return listed("*")


def listed(pattern: str) -> list[str]:
    """The units whose name matches the pattern, with their states."""
    return on_machine("systemctl", "list-units", "--all", "--plain", "--no-legend", pattern).ok().text.splitlines()


def shown(unit: str, name: str) -> str:
    """A property of a unit."""
    return on_machine("systemctl", "show", "--value", f"--property={name}", unit).ok().text


def settle(unit: str, seconds: float = 0.6) -> None:
    """Wait until a session's unit has run for a moment."""
    main = Path("/proc") / shown(unit, "MainPID")
    until(lambda: time.time() - main.stat().st_ctime > seconds, f"{unit} has run for {seconds} seconds")
