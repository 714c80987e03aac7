"""Waiting for the end of a session: by this process, and by the shell that it becomes and that becomes it again.

With a real shell, a real guard, and stand-ins for systemd.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from pi_agent.session import attendance
from tests.support.checkout import TOP, importable
from tests.support.fakes import Bin
from tests.support.interpreters import HASTY_GUARD, PYTHON, importing
from tests.support.people import needs_root
from tests.support.staged import left_in, until

pytestmark = needs_root

# A runner whose session runs already. systemd-run is a script that the test plays. The first argument: the directory.
_RUNNER: Final = """
import os, sys
from pathlib import Path
from pi_agent.linux import journald, processes
from pi_agent.session import aftermath, attendance, care, control_group, report, session_names, signal_relay
from pi_agent.session.audit import Known
from pi_agent.session.signal_relay import Relay
from pi_agent.session.unfinished import Client, Unfinished
from tests.support.fakes import Bin
from tests.support.policies import replaced
top, bash, sys.executable = sys.argv[1:]
journald.send = lambda entry: None
control_group.is_gone = lambda unit: True
session_names.STAGING = f"{top}/staging"
attendance._SOON = 0.05
tools = Bin(Path(top, "bin")).tools(systemd_run=f'read -r line <{top}/client; exit $line')
tools = replaced(tools, bash=bash)
session = session_names.named("alice", 1000, "0")
above = signal_relay.above(None)
shared = os.open("/dev/null", os.O_RDONLY)
with care.taken(tools, session, shared, None) as taken:
    os.mkfifo(session.report)
    heard = report.opened(session.report)
    ours, theirs = os.pipe()
    child = processes.start([tools.systemd_run], {}, own_group=True, descriptors=[theirs])
    os.close(theirs)
    with Relay(tools, session.unit, heard, above) as relay:
        client = Client(os.pidfd_open(child), ours)
        relay.session_begins(client.process)
        print(session.directory, flush=True)
        heard.wait(client.process)
        heard.await_start(client.process)
        running = Unfinished(
            tools, session, "pi", Known("/policy.json"), client, taken.guard, heard.pipe, shared, taken.kept, above,
            None, None, None,
        )
        status = aftermath.see_out(running, heard, relay, taken)
        print("here", flush=True)
sys.exit(status)
"""
# The same, in what the shell becomes.
_AGAIN: Final = f"""
from pi_agent.linux import journald
from pi_agent.session import attendance, control_group
journald.send = lambda entry: None
control_group.is_gone = lambda unit: True
attendance._SOON = 0.05
{HASTY_GUARD}
"""


class Runner:
    """A runner with a session that runs. report: launch.bash's end."""

    def __init__(self, top: Path, environ: Mapping[str, str], has_shell: bool) -> None:
        self.top = top
        self.bin = Bin(top / "bin")
        os.mkfifo(top / "client")
        bash = top / "shell" / "bash"
        bash.parent.mkdir()
        bash.symlink_to(shutil.which("bash") or "")
        self.process = subprocess.Popen(
            [PYTHON, "-B", "-c", _RUNNER, top, bash, importing(top / "python", _AGAIN)],
            cwd=TOP, env={**importable(), **environ}, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        assert self.process.stdout is not None
        self.directory = self.process.stdout.readline().decode().strip()
        assert self.directory, self.process.communicate()[1].decode()
        self.client = os.open(top / "client", os.O_RDWR)
        self.report = os.open(f"{self.directory}/report", os.O_WRONLY)
        if not has_shell:
            bash.unlink()
        os.write(self.report, b"ready\nstarted\n")

    def is_shell(self) -> bool:
        return os.readlink(f"/proc/{self.process.pid}/exe").rpartition("/")[2] == "bash"

    def waits(self) -> bool:
        """Whether the shell has its traps. Before, a signal ends it, and its guard does the rest."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        [caught] = [line.split()[1] for line in status.splitlines() if line.startswith("SigCgt:")]
        return self.is_shell() and bool(int(caught, 16) >> signal.SIGURG - 1 & 1)

    def until_shell(self) -> None:
        until(self.waits)

    def ends(self, *, client: int = 0) -> tuple[int, str, str]:
        """Have systemd-run end, and return the runner's status, output and errors."""
        os.write(self.client, f"{client}\n".encode())
        output, errors = self.process.communicate(timeout=30)
        return self.process.returncode, output.decode(), errors.decode()

    def finish(self) -> None:
        self.process.kill()
        for descriptor in (self.client, self.report):
            os.close(descriptor)
        self.process.communicate()


@contextmanager
def runner(top: Path, *, has_shell: bool = True, **environ: str) -> Iterator[Runner]:
    """has_shell: whether there is one to become, apart from that of the guard."""
    started = Runner(top, environ, has_shell)
    try:
        yield started
    finally:
        os.write(started.client, b"0\n")
        started.finish()
        until(lambda: left_in(top / "staging") == [])


@pytest.mark.parametrize("status", [0, 3, 137, 255])
def test_the_runner_becomes_a_shell_and_then_itself_with_the_sessions_status(tmp_path: Path, status: int) -> None:
    with runner(tmp_path) as started:
        started.until_shell()
        os.write(started.report, f"ended {status}\n".encode())
        assert started.ends() == (status, "", "")
        assert left_in(tmp_path / "staging") == []
        assert started.bin.calls("systemctl") == []


def test_a_session_that_ends_before_is_seen_out_by_the_same_program(tmp_path: Path) -> None:
    with runner(tmp_path) as started:
        os.write(started.report, b"nonsense\n")  # which keeps it from becoming the shell
        os.write(started.report, b"ended 3\n")
        assert started.ends() == (3, "here\n", "")


def test_a_report_that_ends_without_a_word_is_an_end_by_kill(tmp_path: Path) -> None:
    with runner(tmp_path) as started:
        started.until_shell()
        null = os.open("/dev/null", os.O_WRONLY)
        os.dup2(null, started.report)
        os.close(null)
        assert started.ends() == (137, "", "")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_reaches_pi_through_the_shell(tmp_path: Path, number: signal.Signals) -> None:
    with runner(tmp_path) as started:
        started.until_shell()
        started.process.send_signal(number)
        asked = f"systemctl kill --kill-whom=main --signal={int(number)} pi-agent-alice-0.service"
        until(lambda: asked in started.bin.calls("systemctl"))
        os.write(started.report, b"ended 9\n")
        assert started.ends() == (9, "", "")


def test_systemd_run_that_ends_first_is_an_end(tmp_path: Path) -> None:
    with runner(tmp_path) as started:
        started.until_shell()
        assert started.ends()[0] == 137, "nothing was reported"
        assert left_in(tmp_path / "staging") == []


@pytest.mark.parametrize("early", [True, False])
def test_who_writes_nonsense_is_waited_for_by_python(tmp_path: Path, early: bool) -> None:
    """Otherwise the two programs could be kept busy with becoming each other."""
    with runner(tmp_path) as started:
        if not early:
            started.until_shell()
        os.write(started.report, b"nonsense\n")
        until(lambda: not started.is_shell())
        for _ in range(5):
            os.write(started.report, b"x\n")
        os.write(started.report, b"ended 4\n")
        assert started.ends()[0] == 4


def test_a_runner_killed_as_the_shell_is_replaced_by_its_guard(tmp_path: Path) -> None:
    with runner(tmp_path) as started:
        started.until_shell()
        started.process.kill()
        until(lambda: left_in(tmp_path / "staging") == [])
        assert "systemctl stop pi-agent-alice-0.service" in started.bin.calls()


def test_who_cannot_become_the_shell_goes_on_waiting(tmp_path: Path) -> None:
    """As where the machine is out of something: the session goes on, and somebody sees it out."""
    with runner(tmp_path, has_shell=False) as started:
        until(lambda: os.path.exists(f"{started.directory}/unfinished"))  # it has tried
        os.write(started.report, b"ended 6\n")
        assert started.ends() == (6, "here\n", "")


def test_the_shell_gets_little_of_the_environment(tmp_path: Path) -> None:
    hostile: dict[str, Any] = {"BASH_ENV": "/x", "SHELLOPTS": "xtrace", "PS4": "$(id)", "TMOUT": "1"}
    with runner(tmp_path, **hostile, SUDO_UID="0", LANG="C.UTF-8") as started:
        started.until_shell()
        environ = Path(f"/proc/{started.process.pid}/environ").read_text().rstrip("\0").split("\0")
        assert {each.partition("=")[0] for each in environ} == {"LANG", "SUDO_UID", "PI_AGENT_NEEDS"}
        os.write(started.report, b"ended 0\n")
        assert started.ends() == (0, "", "")


def test_the_environment_by_example(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/store/python")
    given = {"SUDO_UID": "1000", "LC_ALL": "C", "BASH_FUNC_x%%": "() { id; }", "IFS": "x", "POSIXLY_CORRECT": "1"}
    expected = {"SUDO_UID": "1000", "LC_ALL": "C", "PI_AGENT_NEEDS": "/store/python /policy.json"}
    assert attendance.environment(given, "/policy.json") == expected
