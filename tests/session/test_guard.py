"""The guard of a session, and who takes care of it: whatever happens to the runner, nothing of the session stays.

With a real shell, and a stand-in for systemctl.
"""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from pi_agent.linux.terminals import Terminal
from tests.support.caring import cared_for, taken
from tests.support.checkout import TOP, importable
from tests.support.fakes import Bin
from tests.support.interpreters import HASTY_GUARD, PYTHON, importing
from tests.support.people import needs_root
from tests.support.staged import fill_more, left_in, until

# -- when the runner cannot clean up by itself


_RUNNER = """
import os, shutil, sys, time
from pathlib import Path
from pi_agent.session import care, session_names
from pi_agent.linux.terminals import Terminal
from tests.support.fakes import Bin
from tests.support.policies import replaced
session_names.STAGING = sys.argv[1]
sys.executable = sys.argv[3]
own = session_names.named("alice", 1000, "0")
tools = replaced(Bin(Path(sys.argv[2])).tools(), bash=shutil.which("bash"))
with care.taken(tools, own, os.open(sys.argv[2], os.O_RDONLY), None):
    print(own.directory, flush=True)
    time.sleep(60)
"""

# A unit ends as soon as it is asked to.
_ENDING = '[ "$1" != is-active ] || exit 3'


def started(
    staging: Path, bin_: Bin, systemctl: str = _ENDING, *, code: str = _RUNNER, below: Sequence[str] = ()
) -> subprocess.Popen[bytes]:
    code = code.replace(".tools()", f".tools(systemctl={systemctl!r})")
    python = importing(bin_.top / "python", HASTY_GUARD)
    return subprocess.Popen(
        [*below, PYTHON, "-B", "-c", code, str(staging), str(bin_.top), python],
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


@needs_root
def test_a_guard_that_was_killed_is_replaced_by_the_runner_itself(staging: Path, bin_: Bin, guards: list[int]) -> None:
    with cared_for(bin_) as own:
        fill_more(own)
        os.kill(guards[0], signal.SIGKILL)
    assert left_in(staging) == []


@needs_root
def test_signals_meant_for_a_session_do_not_end_its_guard(staging: Path, bin_: Bin, guards: list[int]) -> None:
    with cared_for(bin_):
        comm = Path(f"/proc/{guards[0]}/comm")
        until(lambda: comm.read_text() == "pi-agent-guard\n")
        for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGTSTP):
            os.kill(guards[0], number)
    assert left_in(staging) == []
    assert not bin_.calls("systemctl"), "the guard knew that the session had ended by itself"


def inherited(number: int) -> bool:
    """Whether it is a descriptor that whoever started the tests has handed down."""
    try:
        return os.get_inheritable(number)
    except OSError:
        return False


@needs_root
def test_the_guard_has_nothing_open_but_what_it_needs(staging: Path, bin_: Bin, guards: list[int]) -> None:
    """Mounts that the plan holds vanish when the runner lets go of them, and a pipe of the caller's ends with it."""
    held = os.open(bin_.top, os.O_PATH)
    os.set_inheritable(held, False)
    with cared_for(bin_):
        place = Path(f"/proc/{guards[0]}")
        until(lambda: (place / "comm").read_text() == "pi-agent-guard\n")
        opened = {int(each.name): os.readlink(each) for each in (place / "fd").iterdir()}
        assert {number: opened[number] for number in (0, 1, 2, 4)} == dict.fromkeys((0, 1, 2, 4), "/dev/null")
        assert opened[3].startswith("pipe:")
        others = {number for number in opened if number > 4 and not inherited(number)}
        assert {opened[number] for number in others} == {f"{TOP}/pi_agent/session/guard.bash"}
    os.close(held)


@needs_root
def test_the_guard_is_a_shell_with_an_environment_of_its_own(
    staging: Path, bin_: Bin, guards: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("BASH_ENV", "/x"), ("TMOUT", "1"), ("POSIXLY_CORRECT", "1"), ("SECRET", "x")):
        monkeypatch.setenv(name, value)
    with cared_for(bin_):
        environ = Path(f"/proc/{guards[0]}/environ").read_bytes()
        assert not any(name in environ for name in (b"BASH_ENV", b"TMOUT", b"POSIX", b"SECRET"))
        assert sys.executable.encode() in environ, "Nix keeps what an environment names"
        assert os.path.basename(os.readlink(f"/proc/{guards[0]}/exe")) == "bash"


@needs_root
def test_a_guard_without_its_runner_puts_the_terminal_right_before_anything_else(
    staging: Path, bin_: Bin, monkeypatch: pytest.MonkeyPatch
) -> None:
    master, slave = pty.openpty()
    own, care = taken(bin_, beyond=Terminal(slave, None, b"reset"))
    bin_.script("systemctl", f"sleep 0.2; {_ENDING}")
    os.close(care.guard.tell)  # as if the runner had died
    for kept in care.kept:
        os.close(kept)
    assert select.select([master], [], [], 20)[0]
    assert os.read(master, 100) == b"reset"
    assert os.path.isdir(own.directory)
    until(lambda: not left_in(staging))
    os.waitpid(care.guard.process, 0)
    for descriptor in (master, slave):
        os.close(descriptor)
