"""What `--sandbox-timing` tells; that the steps are those of a launch, the scenario of that name shows."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import orjson
import pytest

from pi_agent.cli import timing
from tests.support.checkout import TOP

_STEPS = {"start": 0.0401, "session run": 1.25, "rest": 0.00000049}


def test_a_stopwatch_gives_every_moment_to_one_step(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(timing, "since_start", lambda: 0.5)
    watch = timing.Stopwatch()
    for seconds, step in ((1.0, "a"), (2.0, "b"), (4.0, "a")):
        now[0] += seconds
        watch.lap(step)
    now[0] += 8.0
    assert list(watch.stopped().items()) == [("start", 0.5), ("a", 5.0), ("b", 2.0), ("rest", 8.0)]


def test_a_process_knows_since_when_it_runs() -> None:
    script = "import time; time.sleep(0.2); from pi_agent.cli import timing; print(timing.since_start())"
    begin = time.monotonic()
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, cwd=TOP)
    # Both ends are known to a hundredth of a second.
    assert 0.19 <= float(done.stdout) <= time.monotonic() - begin + 0.01


def test_the_table_is_in_milliseconds_and_has_the_sum() -> None:
    assert timing.table(_STEPS)[1:] == [
        "start            40.1",
        "session run    1250.0",
        "rest              0.0",
        "total          1290.1",
    ]


def test_the_json_is_one_line_with_seconds(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    timing.tell("pi", _STEPS, as_json=True)
    line = capfdbinary.readouterr().err
    assert line.count(b"\n") == 1 and line.endswith(b"\n")
    steps = [
        {"name": "start", "seconds": 0.0401}, {"name": "session run", "seconds": 1.25}, {"name": "rest", "seconds": 0},
    ]  # fmt: skip
    assert orjson.loads(line) == {"steps": steps, "seconds": 1.2901}


@pytest.mark.parametrize("as_json", [False, True])
def test_where_nobody_listens_any_more_nothing_fails(as_json: bool) -> None:
    kept = os.dup(2)
    os.close(2)
    try:
        timing.tell("pi", _STEPS, as_json=as_json)
    finally:
        os.dup2(kept, 2)
        os.close(kept)
