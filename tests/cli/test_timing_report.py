"""What `--sandbox-timing` writes."""

from __future__ import annotations

import os

import orjson
import pytest

from pi_agent.cli import timing_report
from pi_agent.messages import command_output

_STEPS = {"start": 0.0401, "session run": 1.25, "rest": 0.00000049}


def test_the_table_is_in_milliseconds_and_has_the_sum() -> None:
    assert timing_report.table(_STEPS) == [
        command_output.STEPS_TITLE,
        "start            40.1",
        "session run    1250.0",
        "rest              0.0",
        "total          1290.1",
    ]


def test_the_table_follows_the_commands_name(capfd: pytest.CaptureFixture[str]) -> None:
    timing_report.write("agent", _STEPS, as_json=False)
    first, *rest = capfd.readouterr().err.splitlines()
    assert first == f"agent: {timing_report.table(_STEPS)[0]}"
    assert [line.strip() for line in rest] == timing_report.table(_STEPS)[1:]


def test_the_json_is_one_line_with_seconds(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    timing_report.write("pi", _STEPS, as_json=True)
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
        timing_report.write("pi", _STEPS, as_json=as_json)
    finally:
        os.dup2(kept, 2)
        os.close(kept)
