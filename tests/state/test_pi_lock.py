from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pi_agent.state import pi_lock
from pi_agent.state.pi_lock import PiLock
from tests.support.trees import opened


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[int]:
    """Pi's directory, open."""
    with opened(tmp_path) as descriptor:
        yield descriptor


@pytest.fixture
def naps(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The times, in seconds, that somebody slept instead of doing it."""
    times: list[float] = []
    monkeypatch.setattr(time, "sleep", times.append)
    return times


def lock_of(tmp_path: Path) -> Path:
    return tmp_path / "settings.json.lock"


def test_a_free_lock_is_taken_at_once_and_is_a_directory_beside_the_file(
    tmp_path: Path, directory: int, naps: list[float]
) -> None:
    lock = PiLock(directory, "settings.json")
    assert lock.take()
    assert lock_of(tmp_path).is_dir()
    lock.release()
    assert not lock_of(tmp_path).exists()
    assert lock.take(), "it can be taken again"
    assert naps == []


def test_a_lock_that_another_holds_is_not_taken_and_a_moment_passes(directory: int, naps: list[float]) -> None:
    assert PiLock(directory, "settings.json").take()
    assert not PiLock(directory, "settings.json").take()
    assert len(naps) == 1 and 0 < naps[0] < 1
    assert PiLock(directory, "auth.json").take(), "another file has another lock"


def test_a_lock_that_is_given_up_meanwhile_is_taken(
    tmp_path: Path, directory: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock_of(tmp_path).mkdir()
    monkeypatch.setattr(time, "sleep", lambda _seconds: lock_of(tmp_path).rmdir())
    lock = PiLock(directory, "settings.json")
    assert [lock.take(), lock.take()] == [False, True]


@pytest.mark.parametrize(("age", "stale"), [(11, True), (1e6, True), (-11, True), (-1e6, True), (0, False), (8, False)])
def test_a_lock_whose_time_is_long_ago_or_in_the_future_is_taken_over_at_once(
    tmp_path: Path, directory: int, naps: list[float], age: float, stale: bool
) -> None:
    lock_of(tmp_path).mkdir()
    os.utime(lock_of(tmp_path), (time.time() - age, time.time() - age))
    assert PiLock(directory, "settings.json").take() is stale
    assert len(naps) == (0 if stale else 1)


@pytest.mark.parametrize("kind", ["directory", "file", "link"])
def test_a_lock_that_nobody_gives_up_is_taken_over_in_the_end(
    tmp_path: Path, directory: int, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    if kind == "directory":
        lock_of(tmp_path).mkdir()
    elif kind == "file":
        lock_of(tmp_path).write_text("")
    else:
        lock_of(tmp_path).symlink_to("/nonexistent")
    monkeypatch.setattr(pi_lock, "_PATIENCE", 0.05)
    lock, began = PiLock(directory, "settings.json"), time.monotonic()
    while not lock.take():
        assert time.monotonic() - began < 5
    assert time.monotonic() - began >= 0.05
    lock.release()  # also of what is no directory


def test_a_lock_that_vanishes_while_it_is_looked_at_is_waited_for_once_more(
    tmp_path: Path, directory: int, monkeypatch: pytest.MonkeyPatch, naps: list[float]
) -> None:
    lock_of(tmp_path).mkdir()
    stat = os.stat

    def vanished(*arguments: object, **options: object) -> os.stat_result:
        lock_of(tmp_path).rmdir()
        return stat(*arguments, **options)  # type: ignore[arg-type]

    lock = PiLock(directory, "settings.json")
    with monkeypatch.context() as patched:
        patched.setattr(os, "stat", vanished)
        assert not lock.take()
    assert lock.take()


def test_giving_up_a_lock_that_is_gone_is_no_error(tmp_path: Path, directory: int) -> None:
    lock = PiLock(directory, "settings.json")
    assert lock.take()
    lock_of(tmp_path).rmdir()
    lock.release()


def test_where_no_lock_can_be_made_that_is_an_error(ordinary: Path) -> None:
    ordinary.chmod(0o500)
    with opened(ordinary) as directory, pytest.raises(PermissionError):
        PiLock(directory, "settings.json").take()
