"""What launch.bash reports, and what an agent writes there."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pi_agent.session import report as reports
from pi_agent.session.report import QUIET, Report


@pytest.fixture
def pipe(tmp_path: Path) -> str:
    os.mkfifo(tmp_path / "report")
    return str(tmp_path / "report")


@pytest.fixture
def report(pipe: str) -> Iterator[Report]:
    opened = reports.opened(pipe)
    yield opened
    opened.close()


@pytest.fixture
def client() -> Iterator[int]:
    """A process that lives, as systemd-run does."""
    descriptor = os.pidfd_open(os.getpid())
    yield descriptor
    os.close(descriptor)


@pytest.fixture
def write(pipe: str) -> Callable[[bytes], None]:
    def write(text: bytes) -> None:
        with open(os.open(pipe, os.O_RDWR), "wb", buffering=0) as file:
            file.write(text)

    return write


def test_nothing_was_reported(report: Report) -> None:
    assert not report.started
    assert report.ended is None


def test_it_is_read_as_it_comes_and_kept_for_later(report: Report, write: Callable[[bytes], None]) -> None:
    write(b"started\n")
    assert report.started
    assert report.ended is None
    write(b"ended 7\n")
    assert report.started
    assert report.ended == 7
    assert report.ended == 7


def test_an_end_alone_is_a_start_as_well(report: Report, write: Callable[[bytes], None]) -> None:
    write(b"ended 77\n")
    assert report.started
    assert report.ended == 77


@pytest.mark.parametrize("text", [b"ended\n", b"ended x\n", b"ended -1\n", b"ended 256\n", b"ended 1000\n", b"ended 7"])
def test_what_is_no_status_is_none(report: Report, write: Callable[[bytes], None], text: bytes) -> None:
    write(b"started\n" + text + b"x\n")
    write(text if text.endswith(b"\n") else b"")
    assert report.ended is None


def test_the_launcher_has_the_last_word_and_an_endless_report_is_not_kept(
    report: Report, write: Callable[[bytes], None]
) -> None:
    """The agent is the launcher's user, so it can write there too."""
    for _ in range(40):
        write(b"ended 0\n" * 5000)
        assert report.ended == 0
    write(b"\nended 3\n")
    assert report.ended == 3
    assert len(report._text) <= 1 << 16


def test_while_pi_runs_launch_bash_alone_has_said_something(report: Report, write: Callable[[bytes], None]) -> None:
    assert not report.is_quiet
    write(b"ready\n")
    assert not report.is_quiet and not report.started
    write(b"started\n")
    assert report.is_quiet and not report.over
    write(b"x")
    assert not report.is_quiet and not report.over


def test_what_was_heard_before_counts(pipe: str, write: Callable[[bytes], None]) -> None:
    descriptor = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    later = Report(descriptor, QUIET + b"ended 3\n")
    assert later.started and later.over and later.ended == 3
    later.close()


def test_the_report_is_over_when_nobody_can_write_any_more(report: Report, pipe: str, client: int) -> None:
    """launch.bash was killed. Until it has begun, the reader itself keeps the pipe open."""
    assert not report.over
    with open(os.open(pipe, os.O_WRONLY), "wb", buffering=0) as launcher:
        launcher.write(b"ready\n")
        assert report.await_ready(client)
        launcher.write(b"started\n")
        report.await_start(client)
        assert not report.over
    assert report.over and report.ended is None


@pytest.mark.parametrize("said", [b"started\n", b"ready\nx", b"ended 0\n", b"\n"])
def test_who_says_something_else_does_not_wait_to_be_let_in(
    report: Report, write: Callable[[bytes], None], client: int, said: bytes
) -> None:
    write(said)
    assert not report.await_ready(client)


def test_waiting_ends_with_the_client_or_with_the_time(report: Report, client: int) -> None:
    assert not report.wait(client, 0)
    child = os.fork()
    if child == 0:
        os._exit(0)
    process = os.pidfd_open(child)
    assert report.wait(process)
    assert not report.await_ready(process)
    os.waitpid(child, 0)
    os.close(process)


def test_an_endless_report_is_read_fast_enough_to_be_cheap(report: Report, write: Callable[[bytes], None]) -> None:
    write(b"ready\nstarted\n")
    started = time.process_time()
    for _ in range(4):
        write(b"\n" * 60_000)
        assert not report.over
    assert time.process_time() - started < 1
