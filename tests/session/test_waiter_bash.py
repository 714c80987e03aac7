"""waiter.bash, what the runner is while Pi runs: what wakes it, what does not, and that nothing is lost."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from tests.support.checkout import TOP
from tests.support.fakes import Bin
from tests.support.staged import until

_WAITER: Final = TOP / "pi_agent" / "session" / "waiter.bash"
# What the shell becomes: says what it was given, and which signals are ignored.
_COMMAND: Final = ("/bin/sh", "-c", 'printf "[%s]" "$@"; grep SigIgn /proc/self/status', "sh")
_IGNORED: Final = sum(1 << number - 1 for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM))
_ENDING: Final = 1 << signal.SIGHUP - 1 | 1 << signal.SIGTERM - 1


@dataclass(frozen=True)
class Waiting:
    """The shell, and the other ends of what it waits for."""

    process: subprocess.Popen[bytes]
    report: int
    report_end: int
    client: int
    queue: int
    freezer: Path
    bin: Bin

    def woken(self) -> tuple[bytes, ...]:
        """What it was woken with."""
        output, _ = self.process.communicate(timeout=20)
        told, _, mask = output.partition(b"SigIgn:")
        what = tuple(told[1:-1].split(b"]["))
        # While the session goes on, a signal to end it must not be lost: then the guard ends it.
        kept = _IGNORED & ~_ENDING if what == (b"changed",) else _IGNORED
        assert int(mask, 16) & _IGNORED == kept, "nothing else may end who has no handlers yet"
        return what

    def waits(self) -> None:
        """Wait until it waits: it has its last trap, and sleeps."""
        until(self._sleeps, 20)

    def _sleeps(self) -> bool:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        facts = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
        return facts["State"].startswith("S") and bool(int(facts["SigCgt"], 16) >> signal.SIGURG - 1 & 1)

    def passed_on(self) -> list[str]:
        return self.bin.calls("systemctl")


def _signalled(descriptor: int) -> None:
    """Ask for SIGURG, as attendance does."""
    fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)
    fcntl.fcntl(descriptor, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(descriptor, fcntl.F_SETFL, fcntl.fcntl(descriptor, fcntl.F_GETFL) | os.O_ASYNC)


@contextmanager
def waiting(top: Path, before: Callable[[int, int], None] = lambda client, queue: None) -> Iterator[Waiting]:
    """The shell as it waits. before: called with what is the client's and the queue's, before the shell starts."""
    top.mkdir(exist_ok=True)
    bin_ = Bin(top / "bin")
    systemctl = bin_.script("systemctl")
    report, report_end = os.pipe()
    client, client_end = os.pipe()
    queue, queue_end = os.pipe()
    before(client_end, queue_end)

    def prepare() -> None:
        for descriptor in (report, client, queue):
            _signalled(descriptor)

    words = [str(report), str(client), str(queue), str(top / "freeze"), systemctl, "u.service", *_COMMAND]
    process = subprocess.Popen(
        ["env", "--default-signal", "bash", "-p", str(_WAITER), *words],
        stdout=subprocess.PIPE, pass_fds=[report, client, queue], preexec_fn=prepare,
        env={"PATH": os.environ["PATH"]},
    )  # fmt: skip
    for descriptor in (client, queue):
        os.close(descriptor)
    with process:
        try:
            yield Waiting(process, report, report_end, client_end, queue_end, top / "freeze", bin_)
        finally:
            process.kill()
            for descriptor in (report, report_end, client_end, queue_end):
                try:
                    os.close(descriptor)
                except OSError:  # the test did
                    pass


@pytest.mark.parametrize("said", [b"ended 3\n", b"\n", b"x" * 60_000, b"\0\xff\xc3", b"$(id)"])
def test_what_the_report_says_wakes_it_and_is_left_to_be_read(tmp_path: Path, said: bytes) -> None:
    with waiting(tmp_path) as shell:
        shell.waits()
        os.write(shell.report_end, said)
        assert shell.woken() == (b"news",)
        assert os.read(shell.report, 1 << 16) == said


def test_the_end_of_the_report_wakes_it(tmp_path: Path) -> None:
    with waiting(tmp_path) as shell:
        shell.waits()
        os.close(shell.report_end)
        assert shell.woken() == (b"news",)


def test_what_is_reported_while_it_looks_again_and_again_is_not_lost(tmp_path: Path) -> None:
    for number in range(20):
        with waiting(tmp_path / str(number)) as shell:
            shell.waits()
            os.write(shell.report_end, b"ended 3\n")
            os.close(shell.client)
            shell.process.send_signal(signal.SIGURG)
            assert shell.woken() == (b"news",)
            assert os.read(shell.report, 100) == b"ended 3\n"


@pytest.mark.parametrize("name", ["HUP", "TERM"])
def test_a_signal_that_is_to_end_the_session_wakes_it(tmp_path: Path, name: str) -> None:
    with waiting(tmp_path) as shell:
        shell.waits()
        shell.process.send_signal(signal.Signals[f"SIG{name}"])
        assert shell.woken() == (name.encode(),)
        assert shell.passed_on() == [], "whoever is woken passes it on"


def test_the_others_are_passed_on_and_it_goes_on_waiting(tmp_path: Path) -> None:
    with waiting(tmp_path) as shell:
        shell.waits()
        for count, number in enumerate((signal.SIGINT, signal.SIGINT, signal.SIGQUIT), 1):
            shell.process.send_signal(number)
            until(lambda count=count: len(shell.passed_on()) == count)  # type: ignore[misc]
            shell.waits()
        said = [f"systemctl kill --kill-whom=main --signal={number} u.service" for number in (2, 2, 3)]
        assert shell.passed_on() == said
        os.write(shell.report_end, b"ended 3\n")
        assert shell.woken() == (b"news",)


def test_a_term_while_another_signal_is_passed_on_is_not_lost(tmp_path: Path) -> None:
    with waiting(tmp_path) as shell:
        go = tmp_path / "go"
        shell.bin.script("systemctl", f'while [ ! -e "{go}" ]; do sleep 0.01; done')
        shell.waits()
        shell.process.send_signal(signal.SIGINT)
        until(lambda: bool(shell.passed_on()))
        shell.process.send_signal(signal.SIGTERM)
        go.touch()
        assert shell.woken() == (b"TERM",)


def test_the_end_of_systemd_run_wakes_it(tmp_path: Path) -> None:
    with waiting(tmp_path) as shell:
        shell.waits()
        os.close(shell.client)
        assert shell.woken() == (b"news",)
        assert not shell.freezer.exists()


def test_an_event_of_what_is_covered_freezes_the_session_at_once(tmp_path: Path) -> None:
    with waiting(tmp_path) as shell:
        shell.waits()
        os.write(shell.queue, b"x")
        assert shell.woken() == (b"changed",)
        assert shell.freezer.read_text() == "1"


@pytest.mark.parametrize("what", ["client", "queue"])
def test_what_happened_before_there_was_a_trap_is_seen(tmp_path: Path, what: str) -> None:
    def before(client: int, queue: int) -> None:
        if what == "client":
            os.close(client)
        else:
            os.write(queue, b"x")

    with waiting(tmp_path, before) as shell:
        assert shell.woken() == (b"news" if what == "client" else b"changed",)


def test_a_shell_that_was_stopped_misses_nothing(tmp_path: Path) -> None:
    with waiting(tmp_path) as shell:
        shell.waits()
        shell.process.send_signal(signal.SIGSTOP)
        os.write(shell.report_end, b"ended 3\n")
        shell.process.send_signal(signal.SIGCONT)
        assert shell.woken() == (b"news",)
