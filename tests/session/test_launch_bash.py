"""launch.bash, the first program inside and Pi's parent: it reads the request, passes signals on and reports."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from tests.support.checkout import TOP
from tests.support.shapes import ODD

_LAUNCHER: Final = TOP / "pi_agent" / "session" / "launch.bash"
_SIGNALS: Final = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM)


class Launch:
    """A request under the launcher, with the descriptors that systemd provides."""

    def __init__(self, top: Path) -> None:
        self.top = top

    @contextmanager
    def start(
        self, directory: Path, *command: str, closed: str = "", variables: Sequence[str] = (), gate: str | int = "go\n"
    ) -> Iterator[subprocess.Popen[bytes]]:
        """closed: the message if the directory cannot be entered. Whatever still runs when this is left is killed.

        gate: what the runner says there before it goes, or a descriptor.
        """
        words = (closed, str(directory), *variables, "", *command)
        (self.top / "argv").write_bytes(b"".join(os.fsencode(word) + b"\0" for word in words))
        (self.top / "report").write_text("")
        (self.top / "gate").write_text(gate if isinstance(gate, str) else "")
        given = "gate" if isinstance(gate, str) else f"&{gate}"
        launcher = subprocess.Popen(
            # As systemd starts it, however the tests were started: nohup(1) ignores HUP, and that is inherited.
            ["env", "--default-signal", "bash", "-c", f'exec 3<argv 4>>report 5<{given}; exec bash -p "{_LAUNCHER}"'],
            cwd=self.top, env={"PATH": os.environ["PATH"], "LISTEN_FDS": "3"},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
            pass_fds=[] if isinstance(gate, str) else [gate],
        )  # fmt: skip
        with launcher:
            try:
                yield launcher
            finally:
                if launcher.poll() is None:
                    os.killpg(launcher.pid, signal.SIGKILL)

    def run(
        self, directory: Path, *command: str, closed: str = "", variables: Sequence[str] = (), given: bytes = b""
    ) -> tuple[int, bytes, bytes]:
        """Run to the end. Returns exit status, output, errors."""
        with self.start(directory, *command, closed=closed, variables=variables) as launcher:
            output, errors = launcher.communicate(given, 20)
            return launcher.returncode, output, errors

    def shell(self, script: str) -> tuple[int, bytes, bytes]:
        return self.run(self.top, "/bin/sh", "-c", script)

    @property
    def report(self) -> str:
        """What it reported once it had waited at the gate."""
        before, ready, after = (self.top / "report").read_text().partition("ready\n")
        assert (before, ready) == ("", "ready\n")
        return after


@pytest.fixture
def launch(tmp_path: Path) -> Launch:
    return Launch(tmp_path)


def test_it_runs_the_request_in_its_directory_with_every_byte(launch: Launch) -> None:
    odd = launch.top / "-odd dir\n%h"
    odd.mkdir()
    _, output, _ = launch.run(odd, "/bin/sh", "-c", 'pwd; printf "[%s]" "$@"', "sh", *ODD)
    assert output == os.fsencode(f"{odd}\n" + "".join(f"[{word}]" for word in ODD))


def test_pi_has_the_three_streams_and_no_more_and_none_of_the_variables_that_describe_more(launch: Launch) -> None:
    _, output, _ = launch.shell("ls /proc/$$/fd; env | grep LISTEN_")
    assert output.split() == [b"0", b"1", b"2"]


@pytest.mark.parametrize("said", ["", "\n", "no\n", "g"])
def test_without_the_runners_word_nothing_runs(launch: Launch, said: str) -> None:
    with launch.start(launch.top, "/bin/sh", "-c", "echo ran", gate=said) as launcher:
        assert launcher.communicate(b"", 20) == (b"", b"")
        assert launcher.returncode == 69
    assert launch.report == ""


def test_it_waits_for_the_word_and_ends_if_the_runner_does(launch: Launch) -> None:
    for word, output in ((b"go\n", b"ran\n"), (b"", b"")):
        ours, theirs = socket.socketpair()
        with ours, launch.start(launch.top, "/bin/sh", "-c", "echo ran", gate=theirs.fileno()) as launcher:
            theirs.close()
            assert launcher.stdout is not None
            assert select.select([launcher.stdout], [], [], 0.3)[0] == [], "it waits"
            ours.sendall(word)
            ours.close()
            assert launcher.communicate(b"", 20) == (output, b"")


def test_variables_that_act_on_programs_reach_the_command_alone(launch: Launch) -> None:
    variables = ("LD_LIBRARY_PATH=/a b'$x", "GCONV_PATH=", "LOCPATH=a=b")
    script = 'printf \'[%s]\' "$LD_LIBRARY_PATH" "${GCONV_PATH-unset}" "$LOCPATH"; cat /proc/$PPID/environ'
    _, output, _ = launch.run(launch.top, "/bin/sh", "-c", script, variables=variables)
    shown, _, launchers = output.decode().rpartition("]")
    assert shown == "[/a b'$x][][a=b"
    assert "LISTEN_FDS=3" in launchers and "LD_LIBRARY_PATH" not in launchers


def test_input_and_both_outputs_are_pis(launch: Launch) -> None:
    assert launch.run(launch.top, "/bin/sh", "-c", "cat; echo e >&2", given=b"\0\xff") == (0, b"\0\xff", b"e\n")


def test_a_pipe_ends_when_pi_closes_it(launch: Launch) -> None:
    with launch.start(launch.top, "/bin/sh", "-c", "echo last; exec >&- 2>&-; read line") as launcher:
        assert launcher.stdout is not None and launcher.stderr is not None
        assert launcher.stdout.read() == b"last\n"
        assert launcher.stderr.read() == b""
        assert launcher.poll() is None
        launcher.communicate(b"\n", 20)


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("exit 0", 0),
        ("exit 7", 7),
        ("exit 255", 255),
        *((f"kill -{number} $$", 128 + number) for number in (6, 9, 11, 15)),
    ],
)
def test_the_end_is_reported_and_nothing_said(launch: Launch, script: str, expected: int) -> None:
    assert launch.shell(script) == (expected, b"", b"")
    assert launch.report == f"started\nended {expected}\n"


def test_a_program_that_cannot_be_run_is_named(launch: Launch) -> None:
    status, _, errors = launch.run(launch.top, "/no/such/program")
    assert status == 127
    assert b"/no/such/program" in errors
    assert launch.report.endswith("ended 127\n")


@pytest.mark.parametrize("number", _SIGNALS)
def test_a_signal_goes_to_pi_alone_and_ends_it(launch: Launch, number: signal.Signals) -> None:
    script = "sleep 60 & echo $! >&2; echo ready; exec sleep 60"
    with launch.start(launch.top, "/bin/sh", "-c", script) as launcher:
        assert launcher.stdout is not None and launcher.stderr is not None
        launcher.stdout.readline()
        child = int(launcher.stderr.readline())
        launcher.send_signal(number)
        assert launcher.wait(20) == 128 + number
        os.kill(child, signal.SIGKILL)
    assert launch.report.endswith(f"ended {128 + number}\n")


@pytest.mark.parametrize("number", _SIGNALS)
def test_pi_may_handle_a_signal_as_often_as_it_comes(launch: Launch, number: signal.Signals) -> None:
    script = f"""
count=0
trap 'count=$((count + 1)); echo heard' {int(number)}
echo ready
while [ $count -lt 3 ]; do sleep 0.01; done
exit 4
"""
    with launch.start(launch.top, "/bin/sh", "-c", script) as launcher:
        assert launcher.stdout is not None
        assert launcher.stdout.readline() == b"ready\n"
        for _ in range(3):
            launcher.send_signal(number)
            assert launcher.stdout.readline() == b"heard\n"
        assert launcher.wait(20) == 4
    assert launch.report == "started\nended 4\n"


# sudo sends HUP and TERM when it is told to end. The time between them decides whether bash's wait is confused.
_GAPS: Final = tuple(number * 4e-6 for number in range(60))


def pause(seconds: float) -> None:
    """Shorter than a sleep can be."""
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        pass


_SAVES: Final = "import os, signal, time; signal.signal(15, lambda *_: (time.sleep(0.02), os._exit(7)))"


@pytest.mark.parametrize(
    ("pi", "expected"),
    [
        ((sys.executable, "-I", "-S", "-u", "-c", f"{_SAVES}\nprint('ready')\nwhile True: time.sleep(0.01)"), 7),
        (("/bin/sh", "-c", "echo ready; exec sleep 60"), 128 + signal.SIGTERM),
    ],
    ids=["Pi saves first", "the second comes as Pi ends"],
)
def test_two_signals_at_once_neither_cut_pi_short_nor_hide_its_end(
    launch: Launch, pi: tuple[str, ...], expected: int
) -> None:
    for gap in _GAPS * 3:
        with launch.start(launch.top, *pi) as launcher:
            assert launcher.stdout is not None
            assert launcher.stdout.readline() == b"ready\n"
            launcher.send_signal(signal.SIGTERM)
            pause(gap)
            launcher.send_signal(signal.SIGTERM)
            assert launcher.wait(20) == expected, gap
        assert launch.report == f"started\nended {expected}\n"


def test_pi_ignores_no_signal(launch: Launch) -> None:
    _, output, _ = launch.run(launch.top, "grep", "SigIgn", "/proc/self/status")
    inherited = int(next(line for line in open("/proc/self/status") if line.startswith("SigIgn")).split()[1], 16)
    python_ignores = {signal.SIGPIPE, signal.SIGXFSZ}
    ignored = int(output.split()[1], 16)
    assert ignored & ~inherited == 0
    assert {number for number in signal.Signals if ignored >> number - 1 & 1} <= python_ignores


@pytest.mark.parametrize("told", ["pi: one line", "pi-%s\\n: two lines\n    $HOME `id` \\x1b"])
def test_a_directory_that_cannot_be_entered_is_refused_with_77_and_the_text_that_came_with_the_request(
    launch: Launch, told: str
) -> None:
    status, output, errors = launch.run(launch.top / "none", "/bin/sh", "-c", "echo ran", closed=told)
    assert (status, output, errors) == (77, b"", f"{told}\n".encode())
    assert launch.report == "ended 77\n"
