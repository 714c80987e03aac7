from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pi_agent.cli import command_line, entry_point
from pi_agent.linux import standard_error
from pi_agent.messages import refusals
from pi_agent.messages.refusal import EX_SOFTWARE, EX_UNAVAILABLE, Refusal


def raising(error: BaseException) -> Callable[[entry_point.Lap], int]:
    def main(_lap: entry_point.Lap) -> int:
        raise error

    return main


@pytest.mark.parametrize("status", [0, 1, 64, 130, 143, 255])
def test_the_status_of_main_passes_through(status: int, capfd: pytest.CaptureFixture[str]) -> None:
    assert entry_point.run("pi", lambda _: status) == status
    assert capfd.readouterr() == ("", "")


def test_a_refusal_is_told_on_standard_error_with_its_status(capfd: pytest.CaptureFixture[str]) -> None:
    refusal = Refusal(77, "what is wrong", "what to do\n  more")
    assert entry_point.run("pi", raising(refusal)) == 77
    assert capfd.readouterr() == ("", "pi: what is wrong\n    what to do\n      more\n")


@pytest.mark.parametrize("error", [KeyError("x"), RecursionError(), MemoryError(), OSError(1, "x"), AssertionError()])
def test_a_bug_shows_no_traceback_and_is_no_success(error: Exception, capfd: pytest.CaptureFixture[str]) -> None:
    assert entry_point.run("pi", raising(error)) == EX_SOFTWARE
    said = capfd.readouterr().err
    assert said.startswith(f"pi: a bug in pi-agent ({type(error).__name__} at ")
    assert "Traceback" not in said
    assert len(said.splitlines()) == 2


@pytest.mark.parametrize("number", [errno.EIO, errno.EMFILE, errno.ENOSPC, errno.EROFS])
def test_a_machine_that_fails_is_no_bug_of_ours(number: int, capfd: pytest.CaptureFixture[str]) -> None:
    error = OSError(number, "of the machine", "/some\x1b/where")
    assert entry_point.run("pi", raising(error)) == EX_UNAVAILABLE
    first, second = capfd.readouterr().err.splitlines()
    assert first == "pi: the system failed: of the machine (/some\\x1b/where)"
    assert second.startswith("    ")


def test_an_interrupt_is_130_and_silent(capfd: pytest.CaptureFixture[str]) -> None:
    assert entry_point.run("pi", raising(KeyboardInterrupt())) == 130
    assert capfd.readouterr() == ("", "")


def test_a_part_of_python_that_cannot_be_read_is_the_machines_fault(capfd: pytest.CaptureFixture[str]) -> None:
    """As on a disk that fails: the import finds no such module."""
    assert entry_point.run("pi", raising(ModuleNotFoundError("No module named 'socket'", name="socket"))) == 69
    told = capfd.readouterr().err
    assert told.startswith("pi: the system failed: No module named 'socket'\n") and "disks" in told


def test_a_closed_standard_error_changes_no_status() -> None:
    kept = os.dup(2)
    os.close(2)
    try:
        assert entry_point.run("pi", raising(refusals.not_through_sudo())) == 77
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def test_undecodable_text_is_written_as_its_bytes(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    standard_error.say("pi", os.fsdecode(b"\xff"))
    assert capfdbinary.readouterr().err == b"pi: \xff\n"


def test_arguments_are_those_given_whatever_bytes_they_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    given_ = ["", "--", "-x", "a b", "\udcff", "\n"]
    monkeypatch.setattr(sys, "argv", ["pi", *given_])
    assert command_line.arguments() == given_


@pytest.mark.parametrize("argument", ["--version", "-v", "--help", "-h"])
def test_only_a_lone_question_for_help_or_version_is_informational(argument: str) -> None:
    assert command_line.needs_no_project([argument])
    assert not command_line.needs_no_project([argument, argument])
    assert not command_line.needs_no_project([argument, "-p"])
    assert not command_line.needs_no_project(["-p", argument])
    assert not command_line.needs_no_project([f"{argument}=x"])


@given(st.lists(st.text(max_size=10)))
def test_everything_else_needs_a_project(arguments: list[str]) -> None:
    if command_line.needs_no_project(arguments):
        assert command_line.for_pi(arguments) in (["--version"], ["-v"], ["--help"], ["-h"])


@pytest.mark.parametrize("status", [0, 7])
def test_who_leaves_at_once_has_said_everything_before(status: int) -> None:
    code = (
        "from pi_agent.cli import entry_point; import atexit; atexit.register(print, 'late'); print('said', end=''); "
    )
    code += f"entry_point.exit_at_once({status})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (status, "said", "")
