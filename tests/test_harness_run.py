"""The harness listens to a process line by line."""

from __future__ import annotations

import os
import sys

import pytest
from harness.run import CheckError, Stream


def test_a_line_is_there_before_the_process_ends_and_what_it_says_when_stopped_comes_as_well() -> None:
    # It ends with its input alone.
    stream = Stream(["sh", "-c", "echo first; cat; echo last; exit 3"])
    lines = iter(stream)
    assert next(lines) == "first\n"
    assert not stream.stopped
    stream.stop()
    assert list(lines) == ["last\n"]


def test_all_lines_come_and_a_failure_after_the_last() -> None:
    assert list(Stream(["printf", "one\\ntwo\\n"])) == ["one\n", "two\n"]
    lines = iter(Stream(["sh", "-c", "echo one; exit 3"]))
    assert next(lines) == "one\n"
    with pytest.raises(CheckError, match="sh ended with status 3"):
        next(lines)


def test_what_cannot_be_started_is_told() -> None:
    with pytest.raises(CheckError, match="cannot start /nowhere: No such file"):
        Stream(["/nowhere"])


def test_a_signal_to_our_process_group_does_not_reach_it() -> None:
    [group] = Stream([sys.executable, "-c", "import os; print(os.getpgid(0))"])
    assert int(group) != os.getpgid(0)
