"""Restores people, projects and isolated state before each test, and checks for leftover sessions after it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from support.commands import on_machine
from support.installed import FACTS, SECRETS, SHARED, home, policy
from support.leftovers import assert_clean, groups, leftovers
from support.processes import ours
from support.units import UNITS

_FIXTURES: Final = Path(__file__).parents[1] / "guest" / "fixtures"
_RESTORE: Final = 'while [ $# -gt 0 ]; do cp --archive --no-target-directory -- "$1" "$2"; shift 2; done'
_PEOPLE: Final = ("alice", "bob", "carol")


def _empty(directory: Path) -> None:
    for entry in os.scandir(directory):
        if entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.path)
        else:
            os.unlink(entry.path)


@pytest.fixture(scope="session")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what fixtures made: one directory per place."""
    _clear()  # an earlier run may have been interrupted
    places = tmp_path_factory.mktemp("pristine")
    for place in _places().values():
        if place.exists():
            _empty(place)
    subprocess.run([_FIXTURES], check=True, cwd="/")
    for name, place in _places().items():
        subprocess.run(["cp", "--archive", place, places / name], check=True)
    return places


def _places() -> dict[str, Path]:
    homes = {user: home(user) for user in _PEOPLE}
    return {**homes, "shared": SHARED, "secrets": SECRETS}


@contextmanager
def fresh(pristine: Path, *, known_to_fail: bool = False) -> Iterator[None]:
    """Restore everything that a scenario may have changed. Afterwards, check that no session left anything."""
    for place in _places().values():
        _empty(place)
    pairs = [os.fspath(path) for name, place in _places().items() for path in (pristine / name, place)]
    subprocess.run(["sh", "-euc", _RESTORE, "sh", *pairs], check=True)
    for variant in FACTS["variants"]:
        top = policy(variant)["stateDir"]
        for directory in (Path(f"{top}/users"), Path(f"{top}-sync")):
            if directory.exists():
                _empty(directory)
    assert leftovers() == []
    yield
    if known_to_fail:  # perhaps in this very way
        _clear()
        return
    try:
        assert_clean()
    except AssertionError:
        _clear()
        raise


def _clear() -> None:
    """Remove everything that an earlier scenario left."""
    on_machine("systemctl", "stop", UNITS)
    on_machine("systemctl", "reset-failed", UNITS)
    for group in ours().values():
        for process in group:
            process.kill(signal.SIGKILL)
    on_machine("sh", "-c", "rm -rf /run/pi-agent/*")


def tell_of_groups(terminalreporter: pytest.TerminalReporter) -> None:
    """Report empty control groups of sessions. See `leftovers`."""
    for group, pids in groups().items():
        if not pids:
            terminalreporter.write_line(f"systemd left the empty control group {group}")
