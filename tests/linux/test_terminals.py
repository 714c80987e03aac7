"""The caller's terminal after a session, on pseudo-terminals of the tests."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import termios
from collections.abc import Iterator

import pytest

from pi_agent.linux import terminals
from pi_agent.linux.terminals import RESET, Terminal
from tests.support.checkout import TOP

_XTERM = {"TERM": "xterm"}
_LFLAG = 3


@pytest.fixture
def pair() -> Iterator[tuple[int, int]]:
    master, slave = pty.openpty()
    yield master, slave
    os.close(master)
    os.close(slave)


def python(script: str, slave: int, stdin: int | None = None, stdout: int | None = None) -> str:
    """Standard error of a script, with the terminal as its input and output unless others are given."""
    with started(script, slave, stdin, stdout) as process:
        said = process.communicate()[1]
    assert process.returncode == 0, said
    return said


def started(script: str, slave: int, stdin: int | None = None, stdout: int | None = None) -> subprocess.Popen[str]:
    """The process of such a script."""
    return subprocess.Popen(
        [sys.executable, "-c", f"import os, sys, time\nfrom pi_agent.linux import terminals\n{script}"],
        stdin=slave if stdin is None else stdin,
        stdout=slave if stdout is None else stdout,
        stderr=subprocess.PIPE,
        cwd=TOP,
        text=True,
    )


def test_modes_and_the_screen_are_put_right(pair: tuple[int, int]) -> None:
    master, slave = pair
    before = termios.tcgetattr(slave)
    raw = termios.tcgetattr(slave)
    raw[_LFLAG] &= ~(termios.ECHO | termios.ICANON)
    termios.tcsetattr(slave, termios.TCSANOW, raw)
    assert termios.tcgetattr(slave) != before
    Terminal(slave, before, RESET).put_right()
    assert termios.tcgetattr(slave) == before
    assert os.read(master, 1024) == RESET


def test_one_that_is_gone_is_fine(pair: tuple[int, int]) -> None:
    master, slave = pty.openpty()
    modes = termios.tcgetattr(slave)
    os.close(master)
    Terminal(slave, modes, RESET).put_right()
    os.close(slave)


def test_one_that_nobody_reads_does_not_make_wait(pair: tuple[int, int]) -> None:
    script = """
seen = terminals.seen({"TERM": "xterm"})
try:
    while os.write(seen.descriptor, b"x" * 4096):
        pass
except BlockingIOError:
    seen.put_right()
    print(os.get_blocking(1), file=sys.stderr)
"""
    assert python(script, pair[1]).split() == ["True"]


def test_one_whose_reader_is_slow_gets_all_of_it(pair: tuple[int, int]) -> None:
    master, slave = pair
    script = """
terminals._PATIENCE = 60
seen = terminals.seen({"TERM": "xterm"})
refused = 0
while refused < 50:  # once is not enough: the kernel may be moving what was written
    try:
        os.write(seen.descriptor, b"x" * 50)
        refused = 0
    except BlockingIOError:
        refused += 1
        time.sleep(0.001)
print("full", file=sys.stderr, flush=True)
seen.put_right()
"""
    with started(script, slave) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == "full\n"
        assert process.poll() is None
        read = b""
        while not read.endswith(RESET) and select.select([master], [], [], 5)[0]:
            read += os.read(master, 1024)
    assert read.endswith(RESET)
    assert read.removesuffix(RESET).strip(b"x") == b""


@pytest.mark.parametrize("value", ["dumb", "unknown", ""])
def test_nothing_is_written_to_a_terminal_that_would_print_it(pair: tuple[int, int], value: str) -> None:
    script = f'seen = terminals.seen({{"TERM": {value!r}}}); print(seen.reset, file=sys.stderr)'
    assert python(script, pair[1]).strip() == "b''"


def test_it_is_seen_where_input_and_output_are_one(pair: tuple[int, int]) -> None:
    script = 'print(terminals.seen({"TERM": "xterm"}) is not None, terminals.present(), file=sys.stderr)'
    assert python(script, pair[1]).split() == ["True", "True"]
    with open(os.devnull, "r+b") as null:
        assert python(script, pair[1], stdin=null.fileno()).split() == ["False", "False"]
        assert python(script, pair[1], stdout=null.fileno()).split() == ["False", "False"]


def test_output_that_may_not_be_written_to_is_left_alone(pair: tuple[int, int]) -> None:
    read_only = os.open(os.ttyname(pair[1]), os.O_RDONLY | os.O_NOCTTY)
    script = 'print(terminals.seen({"TERM": "xterm"}), file=sys.stderr)'
    assert python(script, pair[1], stdout=read_only).split() == ["None"]
    os.close(read_only)


def test_without_a_sudo_in_front_it_is_ones_own(pair: tuple[int, int]) -> None:
    script = """
seen = terminals.beyond_sudo({"TERM": "xterm"}, 1)
print(seen is not None and seen.modes is not None, file=sys.stderr)
"""
    assert python(script, pair[1]).split() == ["True"]


def test_in_a_pipe_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "isatty", lambda stream: False)
    assert terminals.seen(_XTERM) is None
    assert terminals.beyond_sudo(_XTERM, 1) is None
