"""Scenarios that do not hold with every sudo: sudo-rs has fewer options, and its older versions have limits."""

from __future__ import annotations

import re
import subprocess
from typing import Final

import pytest

from support.installed import FACTS

SUDO_RS: Final = "sudo_rs"
# What sudo does, and sudo-rs does differently.
ONLY_SUDO: Final = pytest.mark.sudo_rs(None)
# sudo-rs before 0.2.13 refuses an argument that is not UTF-8.
NOT_TEXT: Final = pytest.mark.sudo_rs("0.2.13")


def register(config: pytest.Config) -> None:
    """Register the marker."""
    config.addinivalue_line("markers", f"{SUDO_RS}(since): holds with sudo-rs since this version; None: never")


def deselect(config: pytest.Config, items: list[pytest.Item]) -> str:
    """Leave out what does not hold with this machine's sudo. Return a line about it, or "" if everything holds."""
    version = version_of_sudo_rs()
    others = [item for item in items if version and not _holds(item, version)]
    if not others:
        return ""
    config.hook.pytest_deselected(items=others)
    items[:] = [item for item in items if item not in others]
    return f"{len(others)} scenarios do not hold with sudo-rs {version}"


def _holds(item: pytest.Item, version: str) -> bool:
    mark = item.get_closest_marker(SUDO_RS)
    return mark is None or (mark.args[0] is not None and _parts(version) >= _parts(mark.args[0]))


def _parts(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def version_of_sudo_rs() -> str:
    """The version of sudo-rs, or "" if the machine has another sudo."""
    done = subprocess.run([FACTS["sudo"], "--version"], capture_output=True, check=False, text=True)
    found = re.match(r"sudo-rs ([0-9.]+)", done.stdout + done.stderr)
    return found[1] if found else ""
