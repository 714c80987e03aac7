from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from pi_agent.session.report import Report


@pytest.fixture
def pipe(tmp_path: Path) -> str:
    os.mkfifo(tmp_path / "report")
    return str(tmp_path / "report")


@pytest.fixture
def write(pipe: str) -> Callable[[bytes], None]:
    def write(text: bytes) -> None:
        with open(os.open(pipe, os.O_RDWR), "wb", buffering=0) as file:
            file.write(text)

    return write


def test_nothing_was_reported(pipe: str) -> None:
    with Report(pipe) as report:
        assert not report.started
        assert report.ended is None


def test_it_is_read_as_it_comes_and_kept_for_later(pipe: str, write: Callable[[bytes], None]) -> None:
    with Report(pipe) as report:
        write(b"started\n")
        assert report.started
        assert report.ended is None
        write(b"ended 7\n")
        assert report.started
        assert report.ended == 7
        assert report.ended == 7


def test_an_end_alone_is_a_start_as_well(pipe: str, write: Callable[[bytes], None]) -> None:
    with Report(pipe) as report:
        write(b"ended 77\n")
        assert report.started
        assert report.ended == 77


@pytest.mark.parametrize("text", [b"ended\n", b"ended x\n", b"ended -1\n", b"ended 256\n", b"ended 1000\n", b"ended 7"])
def test_what_is_no_status_is_none(pipe: str, write: Callable[[bytes], None], text: bytes) -> None:
    with Report(pipe) as report:
        write(b"started\n" + text + b"x\n")
        write(text if text.endswith(b"\n") else b"")
        assert report.ended is None


def test_the_launcher_has_the_last_word_and_an_endless_report_is_not_kept(
    pipe: str, write: Callable[[bytes], None]
) -> None:
    """The agent is the launcher's user, so it can write there too."""
    with Report(pipe) as report:
        for _ in range(40):
            write(b"ended 0\n" * 5000)
            assert report.ended == 0
        write(b"\nended 3\n")
        assert report.ended == 3
        assert len(report._text) <= 1 << 16
