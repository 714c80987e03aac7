"""The guard of a session: whatever happens to the runner, nothing of the session stays.

With stand-ins for systemd and the kernel's mounts.
"""

from __future__ import annotations

import errno
import fcntl
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import pytest

from pi_agent.linux.descriptors import Descriptors
from pi_agent.messages.refusal import EX_UNAVAILABLE, Refusal
from pi_agent.policy.policy_file import Tools
from pi_agent.session import guard, session_names
from pi_agent.session.session_names import Session
from tests.support.checkout import TOP, importable
from tests.support.fakes import Bin, Kernel
from tests.support.limits import open_descriptors
from tests.support.people import needs_root
from tests.support.staged import fill_more, left_in, place_of, until
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


@contextmanager
def guarded(tools: Tools, number: str = "0") -> Iterator[Session]:
    """A guarded session of alice's."""
    own = session_names.named("alice", 1000, number)
    with guard.guarded(tools, own, Descriptors()):
        yield own


@pytest.fixture
def guards(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The ids of the processes that are forked."""
    found: list[int] = []
    fork = os.fork

    def remembered() -> int:
        pid = fork()
        found.append(pid)
        return pid

    monkeypatch.setattr(os, "fork", remembered)
    return found


# -- while the runner lives


@needs_root
def test_a_session_has_a_private_directory_that_is_gone_afterwards(staging: Path, bin_: Bin) -> None:
    with guarded(bin_.tools()) as own:
        assert os.path.dirname(own.directory) == f"{staging}/1000"
        for place in (staging, staging / "1000", own.directory):
            assert os.stat(place).st_mode & 0o777 == 0o700
        fill_more(own)
    assert left_in(staging) == []
    assert not bin_.calls("systemctl"), "whoever ran the unit saw to its end"


@needs_root
def test_a_session_that_fails_is_stopped_and_gone(staging: Path, bin_: Bin) -> None:
    with pytest.raises(RuntimeError), guarded(bin_.tools()) as own:
        fill_more(own)
        raise RuntimeError
    assert left_in(staging) == []
    assert f"systemctl stop {own.unit}" in bin_.calls("systemctl")


@needs_root
def test_two_sessions_do_not_disturb_each_other(staging: Path, bin_: Bin) -> None:
    tools = bin_.tools()
    with guarded(tools, "0") as first, guarded(tools, "1") as second:
        assert os.path.isdir(first.directory) and os.path.isdir(second.directory)
        assert not bin_.calls("systemctl"), "the first was not swept by the second"
    assert left_in(staging) == []


@needs_root
def test_the_users_directory_goes_with_the_last_session(staging: Path, bin_: Bin) -> None:
    with guarded(bin_.tools(), "0"):
        with guarded(bin_.tools(), "1") as second:
            assert Path(second.directory).parent == staging / "1000"
        assert (staging / "1000").is_dir()
    assert not (staging / "1000").exists()


# -- where it cannot be made


def test_a_staging_directory_that_is_not_roots_is_refused(ordinary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_names, "STAGING", str(ordinary / "staging"))
    (ordinary / "staging").mkdir(mode=0o700)
    bin_ = Bin(ordinary / "bin")
    with pytest.raises(Refusal) as caught, guarded(bin_.tools()):
        pass
    assert caught.value.status == EX_UNAVAILABLE
    assert snapshot(ordinary / "staging") == {}
    assert bin_.calls() == []


@needs_root
@pytest.mark.parametrize("which", ["all", "the user's"])
@pytest.mark.parametrize("kind", ["group", "owner", "link"])
def test_where_others_can_enter_there_is_not_even_a_guard(
    staging: Path, bin_: Bin, guards: list[int], kind: str, which: str
) -> None:
    """It would walk there by name."""
    place = place_of(staging)
    shared = staging if which == "all" else place
    if kind == "link":
        shared.rename(staging.parent / "real")
        shared.symlink_to(staging.parent / "real")
    else:
        shared.chmod(0o710 if kind == "group" else 0o700)
        os.chown(shared, 4321 if kind == "owner" else 0, 0)
    with pytest.raises(Refusal) as caught, guarded(bin_.tools()):
        pass
    assert caught.value.status == EX_UNAVAILABLE
    assert bin_.calls() == [] and guards == []


@needs_root
@pytest.mark.parametrize(("module", "call"), [(fcntl, "flock"), (os, "fstat"), (os, "pidfd_open")])
def test_a_session_that_cannot_be_made_leaves_nothing_and_no_descriptor(
    staging: Path, bin_: Bin, monkeypatch: pytest.MonkeyPatch, module: ModuleType, call: str
) -> None:
    def failing(*_: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    before = open_descriptors()
    with monkeypatch.context() as patch:
        patch.setattr(module, call, failing)
        with pytest.raises(Refusal) as caught, guarded(bin_.tools()):
            pass
    assert caught.value.status == EX_UNAVAILABLE
    assert open_descriptors() == before
    assert not staging.exists() or left_in(staging) == []


# -- when it cannot clean up by itself


_RUNNER = """
import os, sys, time
from pathlib import Path
from pi_agent.linux.descriptors import Descriptors
from pi_agent.session import guard, session_names
from tests.support.fakes import Bin
session_names.STAGING = sys.argv[1]
guard._SECOND_LOOKS = (0.05, 0.05)
own = session_names.named("alice", 1000, "0")
with guard.guarded(Bin(Path(sys.argv[2])).tools(), own, Descriptors()):
    os.mkfifo(own.report)
    print(own.directory, flush=True)
    time.sleep(60)
"""

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
    until(lambda: len(bin_.calls("systemctl reset-failed")) >= 3)
    assert len(bin_.calls("systemctl stop")) == 3, "again, should systemd have been about to start the unit"


@needs_root
def test_the_guard_holds_none_of_the_callers_streams(staging: Path, bin_: Bin) -> None:
    """Otherwise `pi | cat` would hang for as long as the clean-up takes."""
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


def descriptors_of(pid: int) -> list[str]:
    """What a process has open; nothing for one that has ended, reaped or not."""
    try:
        return os.listdir(f"/proc/{pid}/fd")
    except OSError:
        return []


@needs_root
def test_a_runner_killed_with_its_parent_and_outlived_by_its_child_leaves_nothing_behind(
    staging: Path, bin_: Bin
) -> None:
    """The child holds the pipe that reports the runner's death. The death of its parent must be enough, too."""
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
def test_a_guard_that_was_killed_is_replaced_by_the_runner_itself(staging: Path, bin_: Bin, guards: list[int]) -> None:
    with guarded(bin_.tools()) as own:
        fill_more(own)
        os.kill(guards[0], signal.SIGKILL)
    assert left_in(staging) == []
    assert f"systemctl stop {own.unit}" in bin_.calls()


@needs_root
def test_signals_meant_for_a_session_do_not_end_its_guard(staging: Path, bin_: Bin, guards: list[int]) -> None:
    with guarded(bin_.tools()):
        comm = Path(f"/proc/{guards[0]}/comm")
        until(lambda: comm.read_text() == "pi-agent-guard\n")
        for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGTSTP):
            os.kill(guards[0], number)
    assert left_in(staging) == []
    assert not bin_.calls("systemctl"), "the guard knew that the session had ended by itself"


@needs_root
def test_the_guard_keeps_nothing_open_of_what_the_plan_holds(staging: Path, bin_: Bin, guards: list[int]) -> None:
    """Mounts are among it. They must vanish when the runner lets go of them."""
    listen, tell = os.pipe()
    held = Descriptors()
    held.hold(tell)
    with guard.guarded(bin_.tools(), session_names.named("alice", 1000, "0"), held):
        held.close()
        until(lambda: Path(f"/proc/{guards[0]}/comm").read_text() == "pi-agent-guard\n")
        assert os.read(listen, 1) == b"", "nobody holds the other end"
    os.close(listen)
