from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable

import orjson
import pytest

from pi_agent.cli import entry_point
from pi_agent.linux import timing
from pi_agent.linux.errors import MACHINE_FAULTS
from pi_agent.messages import command_output, refusals
from pi_agent.messages.refusal import EX_SOFTWARE, EX_UNAVAILABLE, Refusal


def raising(error: BaseException) -> Callable[[], int]:
    def main() -> int:
        raise error

    return main


@pytest.fixture(autouse=True)
def untimed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["pi"])


@pytest.mark.parametrize("status", [0, 1, 64, 130, 143, 255])
def test_the_status_of_main_passes_through(status: int, capfd: pytest.CaptureFixture[str]) -> None:
    assert entry_point.run("pi", lambda: status) == status
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


@pytest.mark.parametrize("number", sorted(MACHINE_FAULTS))
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
    """As on a failing disk: the import does not find the module."""
    assert entry_point.run("pi", raising(ModuleNotFoundError("No module named 'socket'", name="socket"))) == 69
    told = capfd.readouterr().err
    assert told.startswith("pi: the system failed: No module named 'socket'\n") and "disks" in told


def test_an_error_amounts_to_one_refusal_whoever_asks() -> None:
    refusal = refusals.not_through_sudo()
    assert entry_point.as_refusal(refusal) is refusal
    assert entry_point.as_refusal(OSError(errno.EIO, "x")).status == EX_UNAVAILABLE
    assert entry_point.as_refusal(OSError(errno.ENOENT, "x")).status == EX_SOFTWARE


def test_a_closed_standard_error_changes_no_status() -> None:
    kept = os.dup(2)
    os.close(2)
    try:
        assert entry_point.run("pi", raising(refusals.not_through_sudo())) == 77
    finally:
        os.dup2(kept, 2)
        os.close(kept)


@pytest.mark.parametrize("ending", [lambda: 7, raising(Refusal(7, "x", "y")), raising(KeyboardInterrupt())])
def test_whoever_asks_where_the_time_goes_is_told_however_it_ends(
    ending: Callable[[], int], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def main() -> int:
        timing.mark("a step")
        return ending()

    monkeypatch.setattr(sys, "argv", ["pi", "--sandbox-timing=json"])
    assert entry_point.run("pi", main) in (7, 130)
    told = orjson.loads(capfd.readouterr().err.splitlines()[-1])
    assert [step["name"] for step in told["steps"]] == ["start", "a step", "rest"]
    assert timing.stop() == {}, "nothing is measured any more"


def test_the_time_is_told_after_the_refusal_and_as_a_table_to_people(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["pi", "--sandbox-timing", "-p"])
    assert entry_point.run("pi", raising(Refusal(77, "what is wrong", "what to do"))) == 77
    first, second, third, *_ = capfd.readouterr().err.splitlines()
    assert (first, second) == ("pi: what is wrong", "    what to do")
    assert third == f"pi: {command_output.STEPS_TITLE}"


@pytest.mark.parametrize("status", [0, 7])
def test_who_leaves_at_once_has_said_everything_before(status: int) -> None:
    code = (
        "from pi_agent.cli import entry_point; import atexit; atexit.register(print, 'late'); print('said', end=''); "
    )
    code += f"entry_point.exit_at_once({status})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (status, "said", "")
