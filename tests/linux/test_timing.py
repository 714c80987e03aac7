"""Measuring time. The scenario of that name tests that the steps are those of a launch."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from pi_agent.linux import timing
from tests.support.checkout import TOP


@pytest.fixture(autouse=True)
def stopped() -> Iterator[None]:
    timing.stop()
    yield
    timing.stop()


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that stands still until it is moved."""
    found = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: found[0])
    monkeypatch.setattr(timing, "since_start", lambda: 0.5)
    return found


def test_every_moment_belongs_to_one_step(now: list[float]) -> None:
    timing.start()
    for seconds, step in ((1.0, "a"), (2.0, "b"), (4.0, "a")):
        now[0] += seconds
        timing.mark(step)
    now[0] += 8.0
    assert list(timing.stop().items()) == [("start", 0.5), ("a", 5.0), ("b", 2.0), ("rest", 8.0)]


def test_where_nobody_asked_nothing_is_measured(now: list[float]) -> None:
    timing.mark("a")
    assert timing.stop() == {}


def test_after_it_was_stopped_a_new_start_begins_anew(now: list[float]) -> None:
    timing.start()
    timing.mark("a")
    timing.stop()
    timing.mark("b")
    assert timing.stop() == {}
    timing.start()
    assert timing.stop().keys() == {"start", "rest"}


def test_a_process_knows_since_when_it_runs() -> None:
    script = "import time; time.sleep(0.2); from pi_agent.linux import timing; print(timing.since_start())"
    begin = time.monotonic()
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, cwd=TOP)
    # Both ends are known to a hundredth of a second.
    assert 0.19 <= float(done.stdout) <= time.monotonic() - begin + 0.01
