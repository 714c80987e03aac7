"""A session's directory, in a temporary one, with stand-ins for systemd and the kernel's mounts."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path
from types import ModuleType

import pytest

from pi_agent.messages.refusal import EX_UNAVAILABLE, Refusal
from pi_agent.session import session_directory, session_names
from pi_agent.session.session_names import Session
from tests.support.fakes import Bin, Kernel
from tests.support.limits import open_descriptors
from tests.support.people import needs_root
from tests.support.staged import fill, left_in, place_of, session_in
from tests.support.trees import snapshot


@pytest.fixture
def staging(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(session_names, "STAGING", str(tmp_path / "staging"))
    return tmp_path / "staging"


@pytest.fixture
def bin_(tmp_path: Path) -> Bin:
    return Bin(tmp_path / "bin")


@pytest.fixture(autouse=True)
def kernel(bin_: Bin, monkeypatch: pytest.MonkeyPatch) -> Kernel:
    return Kernel(bin_.log, monkeypatch)


def test_the_other_sessions_of_the_same_host_user_are_counted(tmp_path: Path) -> None:
    own = session_in(tmp_path / "1000")
    session_in(tmp_path / "1001", "pi-agent-bob-0")
    assert session_directory.others(own) == 0
    for number in range(1, 4):
        session_in(tmp_path / "1000", f"pi-agent-alice-{number}")
    assert session_directory.others(own) == 3


# -- removing


def test_cleaning_up_stops_the_unit_and_removes_the_directory(bin_: Bin, tmp_path: Path) -> None:
    own = session_in(tmp_path / "staging")
    fill(own)
    session_directory.clean_up(bin_.tools(), own, ended=False)
    assert not os.path.exists(own.directory)
    assert bin_.calls() == [
        "systemctl kill --kill-whom=main --signal=TERM pi-agent-alice-0.service",
        "systemctl is-active --quiet pi-agent-alice-0.service",
        "systemctl stop pi-agent-alice-0.service",
        "systemctl reset-failed pi-agent-alice-0.service",
    ]


def test_a_unit_that_ended_is_not_stopped_again(bin_: Bin, tmp_path: Path) -> None:
    own = session_in(tmp_path / "staging")
    session_directory.clean_up(bin_.tools(), own, ended=True)
    assert bin_.calls() == []
    assert not os.path.exists(own.directory)


def test_cleaning_up_what_is_gone_or_fails_to_stop_is_fine(bin_: Bin, tmp_path: Path) -> None:
    own = Session("x.service", f"{tmp_path}/none")
    session_directory.clean_up(bin_.tools(systemctl="exit 5"), own, ended=False)


def test_removal_follows_no_link(bin_: Bin, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("x")
    own = session_in(tmp_path / "staging")
    Path(f"{own.directory}/directory").symlink_to(outside)
    Path(f"{own.directory}/file").symlink_to(outside / "precious")
    session_directory.clean_up(bin_.tools(), own, ended=True)
    assert not os.path.exists(own.directory)
    assert snapshot(outside) == {"precious": b"x"}


def test_what_no_session_makes_is_left_alone(bin_: Bin, tmp_path: Path) -> None:
    """A directory may be a mount point."""
    own = session_in(tmp_path / "staging")
    os.mkdir(f"{own.directory}/mounted")
    Path(f"{own.directory}/mounted/precious").write_text("x")
    with pytest.raises(OSError):
        session_directory.clean_up(bin_.tools(), own, ended=True)
    assert Path(f"{own.directory}/mounted/precious").read_text() == "x"


# -- making


def session_of(staging: Path, number: str = "0", uid: int = 1000) -> Session:
    return session_names.called(f"{staging}/{uid}", f"pi-agent-alice-{number}")


@needs_root
def test_a_session_is_private_and_locked(staging: Path, bin_: Bin) -> None:
    own = session_of(staging)
    lock = session_directory.create(bin_.tools(), own)
    for directory in (staging, staging / "1000", own.directory):
        assert os.stat(directory).st_mode & 0o777 == 0o700
    other = os.open(own.lock, os.O_RDWR)
    with pytest.raises(BlockingIOError):
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(other)
    os.close(lock)
    assert bin_.calls("systemctl") == []


@needs_root
@pytest.mark.parametrize("kind", ["group", "world", "owner", "link", "file"])
def test_a_staging_directory_that_others_can_enter_is_refused(staging: Path, bin_: Bin, kind: str) -> None:
    if kind == "link":
        (staging.parent / "real").mkdir(mode=0o700)
        staging.symlink_to("real")
    elif kind == "file":
        staging.write_text("")
    else:
        staging.mkdir(mode=0o700)
        staging.chmod({"group": 0o710, "world": 0o701, "owner": 0o700}[kind])
    if kind == "owner":
        os.chown(staging, 4321, 0)
    with pytest.raises(Refusal) as caught:
        session_directory.create(bin_.tools(), session_of(staging))
    assert caught.value.status == EX_UNAVAILABLE
    assert bin_.calls() == []


@needs_root
@pytest.mark.parametrize("kind", ["group", "owner", "link"])
def test_a_users_place_that_others_can_enter_is_refused(staging: Path, bin_: Bin, kind: str) -> None:
    if kind == "link":
        staging.mkdir(mode=0o700)
        (staging.parent / "real").mkdir(mode=0o700)
        (staging / "1000").symlink_to("../real")
    else:
        place = place_of(staging)
        place.chmod(0o710 if kind == "group" else 0o700)
        os.chown(place, 4321 if kind == "owner" else 0, 0)
    with pytest.raises(Refusal) as caught:
        session_directory.create(bin_.tools(), session_of(staging))
    assert caught.value.status == EX_UNAVAILABLE
    assert bin_.calls() == []


@needs_root
@pytest.mark.parametrize(("module", "call"), [(fcntl, "flock"), (os, "fstat")])
def test_a_place_that_cannot_be_locked_is_not_kept_open(
    staging: Path, bin_: Bin, monkeypatch: pytest.MonkeyPatch, module: ModuleType, call: str
) -> None:
    """A descriptor kept open would keep the guard, which locks the same directory, from removing it."""

    def failing(*_: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    before = open_descriptors()
    with monkeypatch.context() as patch:
        patch.setattr(module, call, failing)
        with pytest.raises(OSError):
            session_directory.create(bin_.tools(), session_of(staging))
    assert open_descriptors() == before


# -- sweeping


@needs_root
def test_what_a_dead_runner_left_is_swept_and_what_lives_is_not(staging: Path, bin_: Bin) -> None:
    place = place_of(staging)
    dead, half, live = (session_in(place, f"pi-agent-{name}") for name in ("dead", "half", "live"))
    for own in (dead, live):
        fill(own)
    lock = os.open(f"{live.directory}/lock", os.O_RDWR)
    fcntl.flock(lock, fcntl.LOCK_EX)
    own = session_of(staging)
    os.close(session_directory.create(bin_.tools(), own))
    assert {path.name for path in place.iterdir()} == {"pi-agent-live", os.path.basename(own.directory)}
    os.close(lock)
    assert "systemctl stop pi-agent-dead.service" in bin_.calls()
    assert "systemctl stop pi-agent-half.service" in bin_.calls()
    assert not any("pi-agent-live" in call for call in bin_.calls())
    assert half.unit == "pi-agent-half.service"
    assert os.path.isfile(live.request)


@needs_root
def test_a_directory_that_cannot_be_removed_does_not_refuse_every_launch(staging: Path, bin_: Bin) -> None:
    left = session_in(place_of(staging), "pi-agent-busy")
    os.mkdir(f"{left.directory}/of an earlier version")
    own = session_of(staging)
    os.close(session_directory.create(bin_.tools(), own))
    assert os.path.isdir(own.directory)


@needs_root
def test_a_user_waits_for_no_other_and_sweeps_after_no_other(staging: Path, bin_: Bin) -> None:
    theirs = session_in(place_of(staging, 1001), "pi-agent-bob-0")
    top = os.open(staging / "1001", os.O_RDONLY)
    fcntl.flock(top, fcntl.LOCK_EX)
    os.close(session_directory.create(bin_.tools(), session_of(staging)))
    os.close(top)
    assert os.path.isdir(theirs.directory)
    assert not bin_.calls("systemctl")


@needs_root
def test_sweeping_removes_what_nobody_takes_care_of_and_the_users_place_with_the_last(staging: Path, bin_: Bin) -> None:
    fill(session_in(place_of(staging), "pi-agent-dead"))
    session_directory.sweep(bin_.tools(), 1000)
    assert left_in(staging) == []
    assert not (staging / "1000").exists()
    session_directory.sweep(bin_.tools(), 1001)
