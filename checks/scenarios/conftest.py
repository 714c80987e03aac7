"""Every scenario begins with people, projects and isolated state as new, and must leave no session behind."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import hypothesis
import pytest

from scenarios import guest, limits

# The project is read-only here.
hypothesis.settings.register_profile("machine", database=None, deadline=None)
hypothesis.settings.load_profile("machine")

_FIXTURES = Path(__file__).parents[1] / "guest" / "fixtures"
_RESTORE = 'while [ $# -gt 0 ]; do cp --archive --no-target-directory -- "$1" "$2"; shift 2; done'
_RELEASE = """
grep -o ' /run/pi-agent[^ ]*' /proc/self/mountinfo | sort -r | while read -r place; do umount --lazy "$place"; done
grep -q ' /run/pi-agent' /proc/self/mountinfo || rm -rf /run/pi-agent/*
"""
_PEOPLE = ("alice", "bob", "carol")


NEEDS_LIMITS = "needs_limits"
SHOWS_LIMITS = "shows_limits"
SUDO_RS = "sudo_rs"
_ELSEWHERE = pytest.StashKey[str]()
_NOT_HERE = pytest.StashKey[str]()


def pytest_configure(config: pytest.Config) -> None:
    """Register the markers."""
    register(config)


def register(config: pytest.Config) -> None:
    """Tell pytest what is marked here and among the attempts to escape."""
    config.addinivalue_line("markers", f"{NEEDS_LIMITS}: runs only where the kernel enforces the limits of a unit")
    config.addinivalue_line("markers", f"{SHOWS_LIMITS}: runs everywhere, and proves its denial only there")
    config.addinivalue_line("markers", f"{SUDO_RS}(since): holds with sudo-rs from this version on; None: not at all")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the scenarios about limits to a machine that has them: all of them or none, so that none gets lost.

    Where they are asked for by name, a machine that has no limits is an error.
    """
    leave_to_others(config, items)
    limited = [item for item in items if item.get_closest_marker(NEEDS_LIMITS)]
    if limited and (reason := limits.missing()):
        if NEEDS_LIMITS in config.option.markexpr:
            raise pytest.UsageError(f"the scenarios about limits prove nothing on this machine: {reason}")
        config.hook.pytest_deselected(items=limited)
        items[:] = [item for item in items if item not in limited]
        config.stash[_ELSEWHERE] = f"{len(limited)} scenarios run in the virtual machine: make scenarios-vm ({reason})"


def leave_to_others(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what does not hold with this machine's sudo-rs."""
    if version := sudo_rs():
        others = [
            item
            for item in items
            if (mark := item.get_closest_marker(SUDO_RS)) and (mark.args[0] is None or version < parts(mark.args[0]))
        ]
        config.hook.pytest_deselected(items=others)
        items[:] = [item for item in items if item not in others]
        if others:
            config.stash[_NOT_HERE] = f"{len(others)} scenarios do not hold with sudo-rs {'.'.join(map(str, version))}"


def parts(version: str) -> tuple[int, ...]:
    """A version, for comparing."""
    return tuple(int(part) for part in version.split("."))


def sudo_rs() -> tuple[int, ...] | None:
    """The version of sudo-rs, where that is the sudo of this machine."""
    done = subprocess.run([guest.FACTS["sudo"], "--version"], capture_output=True, check=False, text=True)
    found = re.match(r"sudo-rs ([0-9.]+)", done.stdout + done.stderr)
    return parts(found[1]) if found else None


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say what was left to the virtual machine, and why; and what systemd itself did not remove."""
    for key in (_ELSEWHERE, _NOT_HERE):
        if line := config.stash.get(key, ""):
            terminalreporter.write_line(line)
    tell_of_groups(terminalreporter)


def tell_of_groups(terminalreporter: pytest.TerminalReporter) -> None:
    """Name the empty control groups of sessions; see `guest.leftovers`."""
    for group, pids in guest.groups().items():
        if not pids:
            terminalreporter.write_line(f"systemd left the empty control group {group}")


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
    homes = {user: guest.home(user) for user in _PEOPLE}
    return {**homes, "shared": guest.SHARED, "secrets": guest.SECRETS}


@contextmanager
def fresh(pristine: Path, *, known_to_fail: bool = False) -> Iterator[None]:
    """Put everything back that a scenario may have changed, and see afterwards that no session left anything."""
    for place in _places().values():
        _empty(place)
    pairs = [os.fspath(path) for name, place in _places().items() for path in (pristine / name, place)]
    subprocess.run(["sh", "-euc", _RESTORE, "sh", *pairs], check=True)
    for variant in guest.FACTS["variants"]:
        for kind in ("users", "sync"):
            directory = Path(guest.policy(variant)["stateDir"]) / kind
            if directory.exists():
                _empty(directory)
    assert guest.leftovers() == []
    yield
    if known_to_fail:  # perhaps in this very way
        _clear()
        return
    try:
        guest.assert_clean()
    except AssertionError:
        _clear()
        raise


@pytest.fixture(autouse=True)
def known_state(pristine: Path, request: pytest.FixtureRequest) -> Iterator[None]:
    """See `fresh`."""
    with fresh(pristine, known_to_fail=request.node.get_closest_marker("xfail") is not None):
        yield


def _clear() -> None:
    """Let the next scenario start from nothing."""
    guest.on_machine("systemctl", "stop", guest.UNITS)
    guest.on_machine("systemctl", "reset-failed", guest.UNITS)
    for group in guest.ours().values():
        for process in group:
            process.kill(signal.SIGKILL)
    # Nobody is left who would release the staging.
    guest.on_machine("sh", "-c", _RELEASE)
