"""The line that says how far something is."""

from __future__ import annotations

import os
import pty
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from pi_agent.linux import progress_bar


@contextmanager
def terminal() -> Iterator[int]:
    """Make standard error a terminal, and return its other end. Not a fixture: pytest captures each phase anew."""
    ours, theirs = pty.openpty()
    before = os.dup(2)
    os.dup2(theirs, 2)
    os.set_blocking(ours, False)
    try:
        yield ours
    finally:
        os.dup2(before, 2)
        for descriptor in (ours, theirs, before):
            os.close(descriptor)


def said(screen: int) -> str:
    try:
        return os.read(screen, 1 << 16).decode()
    except BlockingIOError:
        return ""


def test_on_a_terminal_what_takes_long_is_shown_and_wiped_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress_bar, "_AFTER", 0)
    monkeypatch.setattr(progress_bar, "_EVERY", 0)
    with terminal() as screen:
        with progress_bar.shown("copying", 4) as step:
            step(0, 5 * 1024**2)
            assert "copying [------------------------] 0 of 4 files, 5 MiB" in said(screen)
            step(2, 0)
            assert "[############------------] 2 of 4 files" in said(screen)
        assert said(screen) == "\r\x1b[K"


def test_what_is_done_at_once_is_not_shown() -> None:
    with terminal() as screen:
        with progress_bar.shown("copying", 2) as step:
            step(1, 1)
            step(1, 1)
        assert said(screen) == ""


def test_it_is_wiped_away_when_the_work_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress_bar, "_AFTER", 0)
    with terminal() as screen:
        with pytest.raises(KeyboardInterrupt), progress_bar.shown("copying", 2) as step:
            step(1, 1)
            raise KeyboardInterrupt
        assert said(screen).endswith("\r\x1b[K")


def test_in_a_pipe_there_is_nothing(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress_bar, "_AFTER", 0)
    with progress_bar.shown("copying", 1) as step:
        step(1, 1)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("columns", [0, 1, 20, 80])
@pytest.mark.parametrize(("files", "total"), [(0, 0), (1, 1), (7, 200_000), (9, 3)])
def test_the_line_is_never_wider_than_the_terminal(columns: int, files: int, total: int) -> None:
    assert len(progress_bar.drawn("copying", files, total, 1, columns)) <= max(columns - 1, 0)
