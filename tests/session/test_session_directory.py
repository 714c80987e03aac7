"""A session's staging directory, in a temporary one, with stand-ins for systemd and the kernel's mounts."""

from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from pi_agent.messages.refusal import EX_UNAVAILABLE, Refusal
from pi_agent.session import session_directory, session_names
from pi_agent.session.session_names import Session
from tests.support.checkout import TOP, importable
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


def test_cleaning_up_stops_the_unit_unmounts_and_removes_the_directory(bin_: Bin, tmp_path: Path) -> None:
    own = session_in(tmp_path / "staging")
    fill(own)
    places = own.mounts
    session_directory.clean_up(bin_.tools(), own, ended=False)
    assert not os.path.exists(own.directory)
    assert bin_.calls() == [
        "systemctl kill --kill-whom=main --signal=TERM pi-agent-alice-0.service",
        "systemctl is-active --quiet pi-agent-alice-0.service",
        "systemctl stop pi-agent-alice-0.service",
        "systemctl reset-failed pi-agent-alice-0.service",
        *(f"detach {place}" for place in places),
    ]


def test_a_unit_that_ended_is_not_stopped_again(bin_: Bin, tmp_path: Path) -> None:
    own = session_in(tmp_path / "staging")
    session_directory.clean_up(bin_.tools(), own, ended=True)
    assert {call.split()[0] for call in bin_.calls()} == {"detach"}
    assert not os.path.exists(own.directory)


def test_cleaning_up_what_is_gone_or_fails_to_stop_is_fine(bin_: Bin, tmp_path: Path) -> None:
    own = Session("x.service", f"{tmp_path}/none")
    session_directory.clean_up(bin_.tools(systemctl="exit 5"), own, ended=False)


def test_removal_follows_no_link(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("x")
    own = session_in(tmp_path / "staging")
    fill(own)
    Path(f"{own.root}/out").symlink_to(outside)
    Path(f"{own.directory}/file").symlink_to(outside / "precious")
    session_directory._remove(own.directory, os.stat(own.directory).st_dev)
    assert not os.path.exists(own.directory)
    assert snapshot(outside) == {"precious": b"x"}


def test_nothing_on_another_device_is_touched(tmp_path: Path) -> None:
    """A mount that remains has another device number. Here, the expected number differs instead."""
    own = session_in(tmp_path / "staging")
    os.makedirs(f"{own.project}/src")
    Path(f"{own.project}/src/precious").write_text("x")
    Path(own.argv).write_text("x")
    with pytest.raises(OSError):
        session_directory._remove(own.directory, os.stat(own.directory).st_dev + 1)
    assert Path(f"{own.project}/src/precious").read_text() == "x"


@pytest.mark.parametrize("which", ["project", "state", "terminals"])
def test_while_a_mount_point_cannot_be_removed_the_rest_stays_for_the_next_sweep(
    bin_: Bin, tmp_path: Path, which: str
) -> None:
    """What cannot be unmounted holds foreign content, and shows the device number of its origin."""
    own = session_in(tmp_path / "staging")
    fill(own)
    busy = Path(getattr(own, which))
    (busy / "precious").write_text("x")
    before = snapshot(tmp_path / "staging")
    with pytest.raises(OSError):
        session_directory.clean_up(bin_.tools(), own, ended=True)
    left = snapshot(tmp_path / "staging")
    assert left[f"pi-agent-alice-0/{which}/precious"] == b"x"
    gone = before.keys() - left.keys()
    mounted = {f"pi-agent-alice-0/{name}" for name in ("project", "state", "terminals", "extras/0")}
    assert gone <= mounted, "nothing but an empty mount point may be gone"
    (busy / "precious").unlink()
    session_directory.clean_up(bin_.tools(), own, ended=True)
    assert not os.path.exists(own.directory)


_MOUNTED = """
import os, sys
from pathlib import Path
from pi_agent.linux import mount_api
from pi_agent.session import session_directory
from pi_agent.session.session_names import Session
from tests.support.fakes import Bin
mount_api.detach = lambda path: None
own = Session("x.service", sys.argv[1])
try:
    session_directory.clean_up(Bin(Path(sys.argv[2])).tools(), own, ended=True)
except OSError as error:
    print(error.strerror)
print(sorted(os.listdir(own.directory)), os.listdir(sys.argv[3]))
"""


@needs_root
@pytest.mark.parametrize("which", ["project", "state", "terminals"])
@pytest.mark.parametrize("kind", ["another file system", "this file system", "this file system, empty"])
def test_what_is_still_mounted_survives_the_clean_up(bin_: Bin, tmp_path: Path, kind: str, which: str) -> None:
    own = session_in(tmp_path / "staging")
    fill(own)
    (tmp_path / "source").mkdir()
    if kind == "this file system":
        (tmp_path / "source/precious").write_text("x")
    target = getattr(own, which)
    options = ["-t", "tmpfs", "tmpfs"] if kind == "another file system" else ["--bind", f"{tmp_path}/source"]
    fill_mount = f'touch "{target}/precious"; ' if kind == "another file system" else ""
    script = f'mount "$@" || exit 77; {fill_mount}exec "$PYTHON" -B -c "$CODE" "$DIRECTORY" "$BIN" "$TARGET"'
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script, "sh", *options, target],
        cwd=TOP,
        env={
            **os.environ,
            **importable(),
            "PYTHON": sys.executable,
            "CODE": _MOUNTED,
            "DIRECTORY": own.directory,
            "BIN": str(bin_.top),
            "TARGET": target,
        },
        capture_output=True,
        check=False,
    )
    if done.returncode == 77:
        pytest.skip(f"nothing can be mounted here: {done.stderr.decode()}")
    why, left = done.stdout.decode().splitlines()
    assert "busy" in why
    mounts = ["project", "state", "terminals"]
    names = {"argv", "environment", "lock", "root", "report", "extras", "empty-directory", "empty-file", *mounts}
    names -= set(mounts[: mounts.index(which)])
    assert left == f"{sorted(names)} {[] if kind.endswith('empty') else ['precious']}"


_FILE_MOUNTED = """
import os, sys
from pathlib import Path
from pi_agent.linux import mount_api
from pi_agent.session import session_directory
from pi_agent.session.session_names import Session
from tests.support.fakes import Bin
own = Session("x.service", sys.argv[1])
if sys.argv[3] == "busy":
    mount_api.detach = lambda path: None
try:
    session_directory.clean_up(Bin(Path(sys.argv[2])).tools(), own, ended=True)
except OSError as error:
    print(error.strerror)
print(os.path.exists(own.directory) and Path(own.mounts[-1]).read_text())
"""


@needs_root
@pytest.mark.parametrize(("kind", "said"), [("busy", "Device or resource busy\nprecious\n"), ("free", "False\n")])
def test_a_file_that_is_mounted_outlives_the_clean_up(bin_: Bin, tmp_path: Path, kind: str, said: str) -> None:
    own = session_in(tmp_path / "staging")
    os.mkdir(own.extras)
    Path(f"{own.extras}/0").write_text("")
    (tmp_path / "source").write_text("precious")
    script = 'mount --bind "$1" "$2" || exit 77; exec "$PYTHON" -B -c "$CODE" "$3" "$4" "$5"'
    arguments = [str(tmp_path / "source"), f"{own.extras}/0", own.directory, str(bin_.top), kind]
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script, "sh", *arguments],
        cwd=TOP,
        env={**os.environ, **importable(), "PYTHON": sys.executable, "CODE": _FILE_MOUNTED},
        capture_output=True,
        check=False,
    )
    if done.returncode == 77:
        pytest.skip(f"nothing can be mounted here: {done.stderr.decode()}")
    assert done.stdout.decode() == said
    assert (tmp_path / "source").read_text() == "precious"


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
    assert os.path.isfile(f"{live.directory}/argv")


@needs_root
def test_a_directory_that_cannot_be_removed_does_not_refuse_every_launch(
    staging: Path, bin_: Bin, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(session_in(place_of(staging), "pi-agent-busy"))
    remove = session_directory._remove

    def busy(directory: str, device: int) -> None:
        if directory.endswith("pi-agent-busy"):
            raise OSError(16, "Device or resource busy")
        remove(directory, device)

    monkeypatch.setattr(session_directory, "_remove", busy)
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
