"""Every scenario starts with fresh people, projects and isolated state, and must leave no session behind."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
from support import limits
from support.fresh import fresh, pristine, tell_of_groups
from support.limits import NEEDS_LIMITS, register

__all__ = ["pristine"]

# The project is read-only here.
hypothesis.settings.register_profile("machine", database=None, deadline=None)
hypothesis.settings.load_profile("machine")
_ELSEWHERE = pytest.StashKey[str]()


def pytest_configure(config: pytest.Config) -> None:
    """Register the markers."""
    register(config)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip the scenarios about limits on a machine without limits: all of them or none, so that none gets lost.

    If they are requested by name, a machine without limits is an error.
    """
    limited = [item for item in items if item.get_closest_marker(NEEDS_LIMITS)]
    if limited and (reason := limits.missing()):
        if NEEDS_LIMITS in config.option.markexpr:
            raise pytest.UsageError(f"the scenarios about limits prove nothing on this machine: {reason}")
        config.hook.pytest_deselected(items=limited)
        items[:] = [item for item in items if item not in limited]
        config.stash[_ELSEWHERE] = f"{len(limited)} scenarios run in the virtual machine: make scenarios-vm ({reason})"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Report what was left to the virtual machine, and why, and what systemd itself did not remove."""
    if line := config.stash.get(_ELSEWHERE, ""):
        terminalreporter.write_line(line)
    tell_of_groups(terminalreporter)


@pytest.fixture(autouse=True)
def known_state(pristine: Path, request: pytest.FixtureRequest) -> Iterator[None]:
    """See `fresh`."""
    with fresh(pristine, known_to_fail=request.node.get_closest_marker("xfail") is not None):
        yield
