"""The harness listens to a process line by line."""

from __future__ import annotations

import os
import sys
from contextlib import closing
from pathlib import Path

import pytest
from harness.run import CheckError, stream


def test_a_line_is_there_before_the_process_ends_and_its_input_ends_when_nobody_listens(tmp_path: Path) -> None:
    # It ends with its input alone.
    script = "echo first; cat; echo at the end >end"
    with closing(stream(["sh", "-c", f"cd {tmp_path}; {script}"])) as lines:
        assert next(lines) == "first\n"
        assert not (tmp_path / "end").exists()
    assert (tmp_path / "end").read_text() == "at the end\n"


def test_all_lines_come_and_a_failure_after_the_last() -> None:
    assert list(stream(["printf", "one\\ntwo\\n"])) == ["one\n", "two\n"]
    lines = stream(["sh", "-c", "echo one; exit 3"])
    assert next(lines) == "one\n"
    with pytest.raises(CheckError, match="sh ended with status 3"):
        next(lines)


def test_what_cannot_be_started_is_told() -> None:
    with pytest.raises(CheckError, match="cannot start /nowhere: No such file"):
        list(stream(["/nowhere"]))


def test_a_signal_to_our_process_group_does_not_reach_it() -> None:
    [group] = stream([sys.executable, "-c", "import os; print(os.getpgid(0))"])
    assert int(group) != os.getpgid(0)
