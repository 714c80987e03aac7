from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pi_agent.linux import processes
from pi_agent.messages.refusal import EX_UNAVAILABLE, Refusal

_PYTHON = sys.executable


def python(code: str, *arguments: str) -> list[str]:
    return [_PYTHON, "-I", "-S", "-c", code, *arguments]


def refused(argv: list[str]) -> Refusal:
    with pytest.raises(Refusal) as caught:
        processes.run(argv)
    assert caught.value.status == EX_UNAVAILABLE
    assert caught.value.what.isprintable()
    return caught.value


def test_output_and_errors_are_collected_together() -> None:
    finished = processes.run(["/bin/sh", "-c", "echo out; echo err >&2; echo again"])
    assert finished == processes.Finished(0, "out\nerr\nagain")


@settings(max_examples=10)
@given(st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8), max_size=3))
def test_arguments_arrive_unchanged(words: list[str]) -> None:
    assert processes.run(python("import sys; print(ascii(sys.argv[1:]))", *words)).output == ascii(words)


def test_undecodable_arguments_arrive_unchanged() -> None:
    finished = processes.run(python("import sys, os; print(os.fsencode(sys.argv[1]))", os.fsdecode(b"\xff\n ")))
    assert finished.output == repr(b"\xff\n ")


def test_the_environment_is_built_from_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LD_PRELOAD", "/nonexistent/evil.so")
    monkeypatch.setenv("SECRET", "x")
    # A shell only ever adds its own lines to ours.
    lines = processes.run(["/usr/bin/env"]).output.splitlines()
    assert dict(line.split("=", 1) for line in lines) == processes.PLAIN_SYSTEMD


_OPEN = """
import os, sys
print(repr(sys.stdin.read()), [n for n in range(3, 4096) if os.path.exists(f"/proc/self/fd/{n}")])
"""


def inheritable() -> set[int]:
    """What the process that started the tests hands down to every program."""
    return {int(number) for number in os.listdir("/proc/self/fd") if _is_inheritable(int(number))} - {0, 1, 2}


def _is_inheritable(number: int) -> bool:
    try:
        return os.get_inheritable(number)
    except OSError:  # the descriptor of the listing itself
        return False


def test_input_is_not_the_callers() -> None:
    kept = os.dup(0)
    read, write = os.pipe()
    os.write(write, b"typed")
    os.close(write)
    os.dup2(read, 0)
    try:
        assert processes.run(["/bin/cat"]).output == ""
    finally:
        os.dup2(kept, 0)
        os.close(kept)
        os.close(read)


def test_input_is_empty_and_no_descriptor_is_handed_down_but_those_named(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x")
    descriptor = os.open(tmp_path / "secret", os.O_RDONLY)
    others = inheritable()
    assert processes.run(python(_OPEN)).output == f"'' {sorted(others)}"
    assert processes.run(python(_OPEN), descriptors=[descriptor]).output == f"'' {sorted(others | {descriptor})}"
    assert not os.get_inheritable(descriptor)
    os.close(descriptor)


def test_a_failure_says_what_the_program_said() -> None:
    assert "no such thing" in refused(["/bin/sh", "-c", "echo no such thing >&2; exit 1"]).what
    assert "exit status 3" in refused(["/bin/sh", "-c", "exit 3"]).what
    assert "exit status 137" in refused(["/bin/sh", "-c", "kill -9 $$"]).what


def test_a_programs_output_cannot_reach_a_terminal_raw() -> None:
    assert "\x1b" not in refused(["/bin/sh", "-c", "printf '\\033[2Jx\\377\\nsecond'; exit 1"]).what


def test_accepted_statuses_are_returned() -> None:
    assert processes.run(["/bin/sh", "-c", "exit 3"], accept=(0, 3)).status == 3
    assert processes.run(["/bin/sh", "-c", "kill -15 $$"], accept=range(256)).status == 143


@pytest.mark.parametrize("kind", ["missing", "directory", "not executable"])
def test_a_program_that_cannot_be_run_is_named(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "program"
    if kind == "directory":
        path.mkdir()
    elif kind == "not executable":
        path.write_text("#!/bin/sh\n")
    assert f"{path} failed" in refused([str(path)]).what


def test_a_program_is_never_looked_up_on_a_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "tool").write_text("#!/bin/sh\n")
    (tmp_path / "tool").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    refused(["tool"])


def test_no_descriptor_is_left_open() -> None:
    before = sorted(os.listdir("/proc/self/fd"))
    processes.run(["/bin/true"])
    refused(["/bin/false"])
    refused(["/nonexistent"])
    assert sorted(os.listdir("/proc/self/fd")) == before


def test_a_started_process_has_its_group_and_environment(tmp_path: Path) -> None:
    code = "import os, sys; open(sys.argv[1], 'w').write(f\"{os.getpgid(0) == os.getpid()} {os.environ['TERM']}\")"
    argv = python(code, str(tmp_path / "out"))
    for own_group in (True, False):
        assert processes.wait(processes.start(argv, {"TERM": "xterm"}, own_group=own_group)) == 0
        assert (tmp_path / "out").read_text() == f"{own_group} xterm"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGHUP, signal.SIGSEGV])
def test_a_process_that_a_signal_ended_counts_as_128_and_its_number(number: signal.Signals) -> None:
    code = f"import os, resource; resource.setrlimit(resource.RLIMIT_CORE, (0, 0)); os.kill(os.getpid(), {int(number)})"
    assert processes.wait(processes.start(python(code), {}, own_group=True)) == 128 + number


def test_signals_that_python_ignores_work_in_what_it_starts() -> None:
    """The kernel's view: a Python child would ignore both again."""
    status = processes.run(["/bin/sh", "-c", "grep SigIgn /proc/$$/status"]).output
    ignored = int(status.split()[1], 16)
    assert not ignored & (1 << (signal.SIGPIPE - 1))
    assert not ignored & (1 << (signal.SIGXFSZ - 1))


@pytest.mark.parametrize("content", [b"", b"a\0b\xff\n", b"x" * (1 << 20)])
def test_a_filter_gets_its_input_and_returns_its_output_to_the_byte(content: bytes) -> None:
    open_before = os.listdir("/proc/self/fd")
    assert processes.filtered(["/bin/cat"], content, {}, 1 << 20) == content
    assert os.listdir("/proc/self/fd") == open_before


def test_a_filter_that_fails_or_says_too_much_has_no_output() -> None:
    assert processes.filtered(["/bin/sh", "-c", "cat; exit 3"], b"x", {}, 10) is None
    assert processes.filtered(["/bin/cat"], b"x" * 11, {}, 10) is None
    assert processes.filtered(["/bin/sh", "-c", "echo $A; echo secret >&2"], b"", {"A": "b"}, 10) == b"b\n"
    with pytest.raises(Refusal):
        processes.filtered(["/nonexistent"], b"", {}, 10)
