"""A session's directory, guard and clean-up. Those that need root make it in a temporary directory, with stand-ins for
systemd and the kernel's mounts; nothing is mounted."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType

import pytest

from pi_agent.messages.refusal import EX_UNAVAILABLE, Refusal
from pi_agent.session import guard, session_directory, session_names
from pi_agent.session.session_names import Session
from tests.support.checkout import TOP
from tests.support.fakes import Bin, Kernel
from tests.support.people import needs_root
from tests.support.trees import snapshot


@pytest.fixture
def staging(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(session_names, "STAGING", str(tmp_path / "staging"))
    monkeypatch.setattr(guard, "_SECOND_LOOKS", (0.01, 0.01))
    return tmp_path / "staging"


@pytest.fixture
def bin_(tmp_path: Path) -> Bin:
    return Bin(tmp_path / "bin")


@pytest.fixture(autouse=True)
def kernel(bin_: Bin, monkeypatch: pytest.MonkeyPatch) -> Kernel:
    return Kernel(bin_.log, monkeypatch)


def place_of(staging: Path, uid: int = 1000) -> Path:
    """Where the sessions of the user with this uid are, made as a session would."""
    staging.mkdir(mode=0o700, exist_ok=True)
    (staging / str(uid)).mkdir(mode=0o700)
    return staging / str(uid)


def left_in(staging: Path) -> list[str]:
    """What is left of sessions: all but the users' own empty places. A guard may be removing it: os.walk passes over
    what vanishes."""
    (_, _, files), *below = os.walk(staging)
    return [*files, *(f"{folder}/{name}" for folder, *kinds in below for names in kinds for name in names)]


def session_in(directory: Path, name: str = "pi-agent-alice-0") -> Session:
    (directory / name).mkdir(parents=True)
    return Session(f"{name}.service", f"{directory}/{name}")


def fill(own: Session) -> None:
    """What a session holds, with things on the way that must not be followed."""
    for directory in (*own.mounts, f"{own.root}/deep/er", f"{own.extras}/0", own.empty[0]):
        os.makedirs(directory)
    for path in (f"{own.extras}/1", own.empty[1], own.argv, own.environment, own.lock):
        Path(path).write_text("x")
    os.mkfifo(own.report)
    Path(f"{own.root}/bin").symlink_to("/usr/bin")
    Path(f"{own.root}/dangling").symlink_to("/nonexistent")


def test_everything_of_a_session_is_in_its_directory() -> None:
    own = Session("x.service", "/run/pi-agent/x")
    places = [*own.mounts, own.extras, *own.empty, own.root, own.argv, own.about, own.report, own.environment, own.lock]
    assert len(set(places)) == len(places)
    assert all(os.path.dirname(place) == "/run/pi-agent/x" for place in places)
    assert set(own.mounts) == {own.project, own.state, own.terminals}


def test_further_paths_that_were_staged_are_among_the_mounts(tmp_path: Path) -> None:
    own = session_in(tmp_path)
    fill(own)
    assert sorted(own.mounts[3:]) == [f"{own.extras}/0", f"{own.extras}/1"]


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
    """What is still mounted has another device number; here it is the expected number that is another."""
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
    """What cannot be unmounted holds what is not ours to remove, and shows the device number of where it came from."""
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
from types import ModuleType
from pi_agent.linux import mount_api
from pi_agent.session import session_directory
from pi_agent.session.session_directory import Session
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
from types import ModuleType
from pi_agent.linux import mount_api
from pi_agent.session import session_directory
from pi_agent.session.session_directory import Session
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


def test_a_staging_directory_that_is_not_roots_is_refused(ordinary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_names, "STAGING", str(ordinary / "staging"))
    (ordinary / "staging").mkdir(mode=0o700)
    bin_ = Bin(ordinary / "bin")
    with pytest.raises(Refusal) as caught, guard.opened(bin_.tools(), "alice", 1000):
        pass
    assert caught.value.status == EX_UNAVAILABLE
    assert snapshot(ordinary / "staging") == {}
    assert bin_.calls() == []


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
    with pytest.raises(Refusal) as caught, guard.opened(bin_.tools(), "alice", 1000):
        pass
    assert caught.value.status == EX_UNAVAILABLE
    assert bin_.calls() == []


@needs_root
def test_a_session_is_private_named_by_us_and_gone_afterwards(staging: Path, bin_: Bin) -> None:
    with guard.opened(bin_.tools(), "ev il/../%h\n", 1000) as own:
        assert re.fullmatch(
            r"pi-agent-ev_il_\.\._h_?_-[0-9a-f]{16}\.service|pi-agent-[A-Za-z0-9_.-]+\.service", own.unit
        )
        assert os.path.dirname(own.directory) == f"{staging}/1000"
        assert os.stat(staging / "1000").st_mode & 0o777 == 0o700
        assert os.stat(own.directory).st_mode & 0o777 == 0o700
        assert os.stat(staging).st_mode & 0o777 == 0o700
        fill_more(own)
    assert left_in(staging) == []
    assert not bin_.calls("systemctl"), "conduct saw to the unit"
    assert len(bin_.calls("detach")) == 3


def fill_more(own: Session) -> None:
    for directory in (*own.mounts, own.root):
        os.mkdir(directory)
    Path(own.argv).write_text("x")


@needs_root
@pytest.mark.parametrize(("module", "call"), [(fcntl, "flock"), (os, "fstat")])
def test_a_session_that_cannot_lock_its_place_leaves_nothing(
    staging: Path, bin_: Bin, monkeypatch: pytest.MonkeyPatch, module: ModuleType, call: str
) -> None:
    """A descriptor kept open would keep the guard, which locks the same, from removing the place."""

    def failing(*_: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    descriptors = len(os.listdir("/proc/self/fd"))
    with monkeypatch.context() as patch:
        patch.setattr(module, call, failing)
        with pytest.raises(Refusal) as caught, guard.opened(bin_.tools(), "alice", 1000):
            pass
    assert caught.value.status == EX_UNAVAILABLE
    assert len(os.listdir("/proc/self/fd")) == descriptors


@needs_root
def test_a_session_that_fails_is_stopped_and_gone(staging: Path, bin_: Bin) -> None:
    with pytest.raises(RuntimeError), guard.opened(bin_.tools(), "alice", 1000) as own:
        fill_more(own)
        raise RuntimeError
    assert left_in(staging) == []
    assert f"systemctl stop {own.unit}" in bin_.calls("systemctl")


@needs_root
def test_two_sessions_do_not_disturb_each_other(staging: Path, bin_: Bin) -> None:
    tools = bin_.tools()
    with guard.opened(tools, "alice", 1000) as first, guard.opened(tools, "alice", 1000) as second:
        assert first != second
        assert os.path.isdir(first.directory) and os.path.isdir(second.directory)
        assert not bin_.calls("systemctl"), "the first was not swept by the second"
    assert left_in(staging) == []


@needs_root
def test_what_a_dead_runner_left_is_swept_and_what_lives_is_not(staging: Path, bin_: Bin) -> None:
    place = place_of(staging)
    dead, half, live = (session_in(place, f"pi-agent-{name}") for name in ("dead", "half", "live"))
    for own in (dead, live):
        fill(own)
    lock = os.open(f"{live.directory}/lock", os.O_RDWR)
    fcntl.flock(lock, fcntl.LOCK_EX)
    with guard.opened(bin_.tools(), "alice", 1000) as own:
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
    with guard.opened(bin_.tools(), "alice", 1000):
        pass


@needs_root
def test_a_user_waits_for_no_other_and_sweeps_after_no_other(staging: Path, bin_: Bin) -> None:
    theirs = session_in(place_of(staging, 1001), "pi-agent-bob-0")
    top = os.open(staging / "1001", os.O_RDONLY)
    fcntl.flock(top, fcntl.LOCK_EX)
    with guard.opened(bin_.tools(), "alice", 1000):
        pass
    os.close(top)
    assert os.path.isdir(theirs.directory)
    assert not bin_.calls("systemctl")


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
    with pytest.raises(Refusal) as caught, guard.opened(bin_.tools(), "alice", 1000):
        pass
    assert caught.value.status == EX_UNAVAILABLE
    assert bin_.calls() == []


_RUNNER = """
import os, sys, time
from pi_agent.session import guard, session_directory
from tests.support.fakes import Bin
from pathlib import Path
from types import ModuleType
session_directory.STAGING = sys.argv[1]
guard._SECOND_LOOKS = (0.05, 0.05)
with guard.opened(Bin(Path(sys.argv[2])).tools(), "alice", 1000) as own:
    os.mkdir(own.project)
    print(own.directory, flush=True)
    time.sleep(60)
"""


@needs_root
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_runner_leaves_nothing_behind(staging: Path, bin_: Bin, number: signal.Signals) -> None:
    with started(staging, bin_) as runner:
        assert runner.stdout is not None
        directory = runner.stdout.readline().decode().strip()
        assert os.path.isdir(directory)
        runner.send_signal(number)
        runner.wait()
        until(lambda: not os.path.exists(directory))
    assert left_in(staging) == []
    until(lambda: len(bin_.calls("systemctl reset-failed")) == 3)
    assert len(bin_.calls("systemctl stop")) == 3, "again, should systemd have been about to start the unit"


@needs_root
def test_the_guard_holds_none_of_the_callers_streams(staging: Path, bin_: Bin) -> None:
    """Else `pi | cat` would hang for as long as the clean-up takes."""
    go = bin_.top / "go"
    with started(staging, bin_, systemctl=f'while [ ! -e "{go}" ]; do sleep 0.01; done; {_ENDING}') as runner:
        assert runner.stdout is not None
        runner.stdout.readline()
        runner.kill()
        until(lambda: bool(bin_.calls("systemctl kill")))
        readable, _, _ = select.select([runner.stdout], [], [], 5)
        go.touch()
        assert readable and runner.stdout.read() == b"", "the pipe closed while the clean-up was still waiting"
        until(lambda: not left_in(staging))


def importable() -> dict[str, str]:
    """The environment in which another Python finds what this one does."""
    return {"PYTHONPATH": ":".join([str(TOP), *sys.path])}


# A unit ends as soon as it is asked to.
_ENDING = '[ "$1" != is-active ] || exit 3'


def started(
    staging: Path, bin_: Bin, systemctl: str = _ENDING, *, code: str = _RUNNER, below: Sequence[str] = ()
) -> subprocess.Popen[bytes]:
    code = code.replace(".tools()", f".tools(systemctl={systemctl!r})")
    return subprocess.Popen(
        [*below, sys.executable, "-B", "-c", code, str(staging), str(bin_.top)],
        cwd=TOP, env=importable(), stdout=subprocess.PIPE,
    )  # fmt: skip


def until(done: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.01)


def descriptors_of(pid: int) -> list[str]:
    """What a process has open; nothing of one that has ended, be it there to be reaped or gone."""
    try:
        return os.listdir(f"/proc/{pid}/fd")
    except OSError:
        return []


@needs_root
def test_a_runner_killed_with_its_parent_and_outlived_by_its_child_leaves_nothing_behind(
    staging: Path, bin_: Bin
) -> None:
    """The child holds what tells the guard of the runner's death; the parent's death, too, must be enough."""
    code = _RUNNER.replace(
        "    time.sleep", "    child = os.fork()\n    child and print(os.getpid(), child, flush=True)\n    time.sleep"
    )
    with started(staging, bin_, code=code, below=["sh", "-c", '"$@" & wait', "sh"]) as parent:
        assert parent.stdout is not None
        directory = parent.stdout.readline().decode().strip()
        runner, child = map(int, parent.stdout.readline().split())
        os.kill(runner, signal.SIGKILL)
        until(lambda: not descriptors_of(runner))
        parent.kill()
        until(lambda: not os.path.exists(directory))
        os.kill(child, signal.SIGKILL)
    assert left_in(staging) == []


@needs_root
def test_a_guard_that_was_killed_is_replaced_by_the_runner_itself(
    staging: Path, bin_: Bin, monkeypatch: pytest.MonkeyPatch
) -> None:
    guards: list[int] = []
    fork = os.fork

    def remembered() -> int:
        pid = fork()
        guards.append(pid)
        return pid

    monkeypatch.setattr(os, "fork", remembered)
    with guard.opened(bin_.tools(), "alice", 1000) as own:
        fill_more(own)
        os.kill(guards[0], signal.SIGKILL)
    assert left_in(staging) == []
    assert f"systemctl stop {own.unit}" in bin_.calls()


@needs_root
def test_signals_meant_for_a_session_do_not_end_its_guard(
    staging: Path, bin_: Bin, monkeypatch: pytest.MonkeyPatch
) -> None:
    guards: list[int] = []
    fork = os.fork

    def remembered() -> int:
        pid = fork()
        guards.append(pid)
        return pid

    monkeypatch.setattr(os, "fork", remembered)
    with guard.opened(bin_.tools(), "alice", 1000):
        comm = Path(f"/proc/{guards[0]}/comm")
        until(lambda: comm.read_text() == "pi-agent-guard\n")
        for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGTSTP):
            os.kill(guards[0], number)
    assert left_in(staging) == []
    assert not bin_.calls("systemctl"), "the guard knew that the session had ended by itself"


@needs_root
def test_the_users_directory_goes_with_the_last_session(staging: Path, bin_: Bin) -> None:
    with guard.opened(bin_.tools(), "alice", 1000):
        with guard.opened(bin_.tools(), "alice", 1000) as second:
            assert Path(second.directory).parent == staging / "1000"
        assert (staging / "1000").is_dir()
    assert not (staging / "1000").exists()
