from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pi_agent.state import pi_lock
from pi_agent.state.document_kinds import AUTH, SETTINGS, Kind
from pi_agent.state.pi_lock import PiLock
from tests.support.trees import opened


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[int]:
    """Pi's directory, open."""
    with opened(tmp_path) as descriptor:
        yield descriptor


@pytest.fixture
def naps(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The times, in seconds, that somebody slept. Nobody really sleeps."""
    times: list[float] = []
    monkeypatch.setattr(time, "sleep", times.append)
    return times


def lock_of(tmp_path: Path) -> Path:
    return tmp_path / "settings.json.lock"


def pis_lock(tmp_path: Path, *, age: float = 0) -> Path:
    """A lock as Pi makes it, of that age in seconds."""
    lock = lock_of(tmp_path)
    lock.mkdir()
    os.utime(lock, (time.time() - age, time.time() - age))
    return lock


def test_a_free_lock_is_taken_at_once_and_is_a_directory_beside_the_file(
    tmp_path: Path, directory: int, naps: list[float]
) -> None:
    lock = PiLock(directory, SETTINGS)
    assert lock.take()
    assert lock_of(tmp_path).is_dir()
    lock.release()
    assert not lock_of(tmp_path).exists()
    assert lock.take(), "it can be taken again"
    assert naps == []


def test_a_lock_that_pi_holds_is_not_taken_and_a_moment_passes(
    tmp_path: Path, directory: int, naps: list[float]
) -> None:
    pis_lock(tmp_path)
    assert not PiLock(directory, SETTINGS).take()
    assert len(naps) == 1 and 0 < naps[0] < 1
    assert PiLock(directory, AUTH).take(), "another file has another lock"


def test_a_lock_that_pi_gives_up_meanwhile_is_taken(
    tmp_path: Path, directory: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    pis_lock(tmp_path)
    monkeypatch.setattr(time, "sleep", lambda _seconds: lock_of(tmp_path).rmdir())
    lock = PiLock(directory, SETTINGS)
    assert [lock.take(), lock.take()] == [False, True]
    lock.release()
    assert not lock_of(tmp_path).exists()


@pytest.mark.parametrize(("age", "stale"), [(11, True), (1e6, True), (-11, True), (-1e6, True), (0, False), (8, False)])
def test_a_lock_whose_time_is_long_ago_or_in_the_future_is_taken_over_at_once(
    tmp_path: Path, directory: int, naps: list[float], age: float, stale: bool
) -> None:
    pis_lock(tmp_path, age=age)
    lock = PiLock(directory, SETTINGS)
    assert lock.take() is stale
    assert len(naps) == (0 if stale else 1)
    lock.release()
    assert lock_of(tmp_path).exists() is not stale


def test_the_lock_of_the_logins_is_stale_when_it_is_for_pi(tmp_path: Path, directory: int, naps: list[float]) -> None:
    """Pi renews it every fifteen seconds, and takes it over after thirty (auth-storage.js)."""
    lock = tmp_path / "auth.json.lock"
    lock.mkdir()
    for age, stale in ((16, False), (29, False), (31, True)):
        os.utime(lock, (time.time() - age,) * 2)
        assert PiLock(directory, AUTH).take() is stale


def test_who_waits_long_is_told_once_and_as_long_as_pi_would(
    tmp_path: Path, directory: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "auth.json.lock").mkdir()
    clock, told = [0.0], list[float]()
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(time, "sleep", lambda seconds: clock.__setitem__(0, clock[0] + 10 * seconds))
    lock = PiLock(directory, AUTH, lambda: told.append(clock[0]))
    while not lock.take():
        assert clock[0] < 40
    assert 29 < clock[0] < 31
    assert len(told) == 1 and 2 < told[0] < 3


def test_a_lock_that_pi_has_taken_over_meanwhile_stays_pis(tmp_path: Path, directory: int) -> None:
    """Even if it has the same inode number."""
    lock = PiLock(directory, SETTINGS)
    assert lock.take()
    lock_of(tmp_path).rmdir()
    lock_of(tmp_path).mkdir()
    lock.release()
    assert lock_of(tmp_path).is_dir()


@pytest.mark.parametrize("umask", [0o022, 0o777])
def test_what_a_killed_sync_left_is_known_and_taken_over_at_once(
    tmp_path: Path, directory: int, naps: list[float], umask: int
) -> None:
    assert not pi_lock.is_abandoned(directory, "settings.json")
    os.umask(umask)
    assert PiLock(directory, SETTINGS).take()  # and never released
    assert pi_lock.is_abandoned(directory, "settings.json")
    assert not pi_lock.is_abandoned(directory, "auth.json")
    lock = PiLock(directory, SETTINGS)
    assert lock.take()
    lock.release()
    assert not lock_of(tmp_path).exists()
    assert naps == []


@pytest.mark.parametrize("kind", ["full directory", "file", "fifo"])
def test_what_the_agent_put_in_the_place_of_an_abandoned_lock_is_removed(
    tmp_path: Path, directory: int, naps: list[float], kind: str
) -> None:
    path = lock_of(tmp_path)
    if kind == "full directory":
        (path / "sub").mkdir(parents=True)
        (path / "sub/file").write_text("")
    elif kind == "file":
        path.write_text("")
    else:
        os.mkfifo(path)
    path.chmod(0o1700)
    lock = PiLock(directory, SETTINGS)
    assert lock.take()
    lock.release()
    assert not lock_of(tmp_path).exists()
    assert naps == []


@pytest.mark.parametrize("kind", ["directory", "file", "link"])
def test_a_lock_that_nobody_gives_up_delays_for_a_while_and_stays_its_holders(
    tmp_path: Path, directory: int, kind: str
) -> None:
    path = lock_of(tmp_path)
    if kind == "directory":
        path.mkdir()
    elif kind == "file":
        path.write_text("")
    else:
        path.symlink_to("/nonexistent")
    assert not pi_lock.is_abandoned(directory, "settings.json")
    before = path.lstat()
    lock, began = PiLock(directory, Kind("settings.json", 1, patience=0.05)), time.monotonic()
    while not lock.take():
        assert time.monotonic() - began < 5
    assert time.monotonic() - began >= 0.05
    lock.release()
    assert path.lstat() == before


def test_a_lock_that_vanishes_while_it_is_looked_at_is_waited_for_once_more(
    tmp_path: Path, directory: int, monkeypatch: pytest.MonkeyPatch, naps: list[float]
) -> None:
    pis_lock(tmp_path)
    real = os.stat

    def vanished(*arguments: object, **options: object) -> os.stat_result:
        lock_of(tmp_path).rmdir()
        return real(*arguments, **options)  # type: ignore[arg-type]

    lock = PiLock(directory, SETTINGS)
    with monkeypatch.context() as patched:
        patched.setattr(os, "stat", vanished)
        assert not lock.take()
    assert lock.take()


def test_giving_up_a_lock_that_is_gone_or_in_use_is_no_error(tmp_path: Path, directory: int) -> None:
    lock = PiLock(directory, SETTINGS)
    assert lock.take()
    lock_of(tmp_path).rmdir()
    lock.release()
    assert lock.take()
    (lock_of(tmp_path) / "x").mkdir()
    lock.release()
    assert stat.S_ISDIR(lock_of(tmp_path).lstat().st_mode)


def test_where_no_lock_can_be_made_that_is_an_error(ordinary: Path) -> None:
    ordinary.chmod(0o500)
    with opened(ordinary) as directory, pytest.raises(PermissionError):
        PiLock(directory, SETTINGS).take()
