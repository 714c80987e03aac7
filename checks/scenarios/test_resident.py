"""While Pi runs, no Python of ours waits: the runner is a small shell, and becomes itself again at the end."""

from __future__ import annotations

import os
import resource
import signal
from pathlib import Path

import pytest
from support.commands import as_user, inside
from support.installed import demo
from support.leftovers import assert_clean, staged
from support.processes import Process, ours, processes
from support.resident import program, proportional_size, waiting
from support.sessions import IDLE, session
from support.terminals import assert_sane, ended, has_signals, shell, terminal
from support.units import units
from support.waiting import CLEAN_WITHIN, until

HUP, INT, QUIT, TERM, KILL = signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGKILL
STOPPED = {128 + TERM}
# Longer than until the runner has become the shell.
LONG = "sleep 1.7"
FRAIL = ("exec", "bash", "-c", "echo ready; exec sleep 1000")
STUBBORN = ("exec", "bash", "-c", "trap '' HUP INT TERM; echo ready; while :; do sleep 0.1; done")
# Of the memory that sudo and systemd-run take.
MEMORY_AT_MOST = 1.5


# -- what waits


def test_while_pi_runs_no_python_of_ours_waits() -> None:
    with session("alice", "pi-probe", *IDLE) as running:
        waiting()
        found = ours()
        programs = {kind: {program(process) for process in group} for kind, group in found.items()}
        assert programs == {"sudo": {"sudo"}, "runner": {"bash"}, "guard": {"bash"}, "systemd-run": {"systemd-run"}}
        assert len(found["runner"]) == len(found["guard"]) == 1
        python = [each for each in processes() if each.uid == 0 and "pi_agent" in " ".join(each.words)]
        assert not [each for each in python if program(each).startswith("python")]
        assert running.wait().status == 0
    assert_clean()


def test_what_waits_takes_little_more_than_sudo_and_systemd_run() -> None:
    with session("alice", "pi-probe", *IDLE):
        waiting()
        found = ours()
        least = proportional_size([*found["sudo"], *found["systemd-run"]])
        whole = proportional_size([each for group in found.values() for each in group])
        assert whole <= MEMORY_AT_MOST * least, f"{whole} KiB beside {least}"


def test_the_shell_has_an_environment_and_limits_of_its_own() -> None:
    hostile = ("BASH_ENV=/tmp/x", "ENV=/tmp/x", "SHELLOPTS=xtrace", "PS4=$(id)", "TMOUT=1", "POSIXLY_CORRECT=1")
    names = {"LANG", "LC_ALL", "LC_CTYPE", "SUDO_GID", "SUDO_UID", "SUDO_USER", "PI_AGENT_NEEDS"}
    with session("alice", "env", *hostile, "pi-probe", *IDLE):
        runner = waiting()
        [guard] = ours()["guard"]
        environ = Path(f"/proc/{runner.pid}/environ").read_text().rstrip("\0").split("\0")
        assert {each.partition("=")[0] for each in environ} <= names
        [needs] = [each for each in environ if each.startswith("PI_AGENT_NEEDS=")]
        interpreter, policy = needs.partition("=")[2].split()
        assert os.access(interpreter, os.X_OK) and policy.endswith(".json")
        assert b"PI_AGENT_NEEDS=" in Path(f"/proc/{guard.pid}/environ").read_bytes()
        for process in (runner, guard):
            # The kernel takes 1 for «do not dump» (fs/coredump.c). A container may keep even root from raising it to 1.
            assert resource.prlimit(process.pid, resource.RLIMIT_CORE) in ((1, 1), (0, 0))


def opened_by(process: Process) -> set[str]:
    """What it has open, without the streams that the caller handed down."""
    opened = {each.name: os.readlink(each) for each in Path(f"/proc/{process.pid}/fd").iterdir()}
    return {each for each in opened.values() if each not in {opened.get(stream) for stream in "012"}}


def test_nobody_inherits_what_the_shell_keeps_open() -> None:
    script = "echo ready; exec cat >/dev/null"
    with session("alice", "pi-probe", "exec", "bash", "-c", script) as running:
        runner = waiting()
        kept = opened_by(runner)
        assert any(each.endswith("/lock") for each in kept), "the session's lock"
        [client] = ours()["systemd-run"]
        shared = {each for each in opened_by(client) & kept if each.startswith(("pipe:", "/"))}
        assert len(shared) == 1, "a pipe, by which its end is seen"
        pi = next(each for each in processes() if each.words == ("cat",))
        assert sorted(os.listdir(f"/proc/{pi.pid}/fd")) == ["0", "1", "2"]
        assert running.wait().status == 0


# -- how it ends


@pytest.mark.parametrize("status", [0, 3, 255])
def test_a_session_that_takes_long_ends_with_pis_status(status: int) -> None:
    result = inside(f"{LONG}; echo out; echo err >&2; exit {status}")
    assert (result.status, result.stdout, result.stderr) == (status, b"out\n", b"err\n")
    assert_clean()


@pytest.mark.parametrize("number", [INT, TERM, KILL])
def test_a_session_that_takes_long_and_ends_by_a_signal_says_so(number: signal.Signals) -> None:
    assert inside(f"{LONG}; kill -{int(number)} $$; sleep 9").status == 128 + number
    assert_clean()


@pytest.mark.parametrize("length", [0.9, 1.0])
def test_a_session_that_ends_as_the_runner_becomes_the_shell_ends_as_any_other(length: float) -> None:
    for _ in range(4):
        result = inside(f"sleep {length}; echo out; exit 3")
        assert (result.status, result.stdout, result.stderr) == (3, b"out\n", b"")
        assert_clean()


@pytest.mark.parametrize(
    ("name", "number", "statuses"),
    [
        *((name, number, {128 + number} | STOPPED) for name in ("sudo", "runner") for number in (HUP, INT, QUIT, TERM)),
        *((name, KILL, {137}) for name in ("sudo", "runner")),
        *(("systemd-run", number, {128 + HUP, 128 + number} | STOPPED) for number in (HUP, INT, TERM, KILL)),
        *(("guard", number, {0}) for number in (HUP, INT, TERM, KILL)),
    ],
)
def test_a_signal_while_the_shell_waits_ends_the_session_with_a_clear_status(
    name: str, number: signal.Signals, statuses: set[int]
) -> None:
    command = IDLE if name == "guard" else FRAIL
    with session("alice", "pi-probe", *command) as running:
        waiting()
        target = min(ours()[name], key=lambda process: process.pid)
        target.kill(number)
        result = running.wait(CLEAN_WITHIN)
        assert result.status in statuses
        assert_clean()
        assert b"Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("name", "number", "statuses"),
    [
        *((name, number, {129, 128 + number} | STOPPED) for name in ("sudo", "runner") for number in (HUP, INT, TERM)),
        *((name, KILL, {137}) for name in ("sudo", "runner")),
        *(("systemd-run", number, {128 + HUP, 128 + number} | STOPPED) for number in (HUP, INT, TERM, KILL)),
    ],
)
def test_at_a_terminal_a_signal_while_the_shell_waits_ends_the_session_with_a_clear_status(
    name: str, number: signal.Signals, statuses: set[int]
) -> None:
    screen = terminal("alice", "pi-probe", *FRAIL)
    screen.expect_exact(b"ready")
    waiting()
    min(ours()[name], key=lambda process: process.pid).kill(number)
    assert ended(screen) in statuses
    assert_clean()


def test_at_a_terminal_ctrl_c_is_pis_while_the_shell_waits() -> None:
    screen = terminal("alice", "pi-probe", *FRAIL)
    screen.expect_exact(b"ready")
    waiting()
    screen.send("\x03")
    assert ended(screen) == 130
    assert_clean()


def test_systemd_run_may_let_go_while_the_shell_waits() -> None:
    screen = terminal("alice", "pi-probe", *STUBBORN)
    screen.expect_exact(b"ready")
    runner = waiting()
    screen.send("\x1d\x1d\x1d")
    # Until then, Ctrl-C is an ordinary character.
    until(lambda: has_signals(ours()["systemd-run"][0]), "systemd-run has let go of the terminal")
    screen.send("\x03")
    assert ended(screen) == 137
    assert not runner.there()
    assert_clean()


@pytest.mark.parametrize("name", ["sudo", "runner"])
def test_a_terminal_is_put_right_when_the_shell_or_sudo_is_killed(name: str) -> None:
    screen = shell()
    script = "stty raw -echo; printf '\\033[?25l'; echo ready; exec sleep 1000"
    screen.sendline(f"pi-probe exec bash -c '{script}'".encode())
    screen.expect_exact(b"ready\n")
    waiting()
    min(ours()[name], key=lambda process: process.pid).kill(KILL)
    screen.expect_exact(b"\x1b[?25h")
    screen.sendline(b"")
    assert_clean()
    screen.sendline(b"stty sane")
    assert_sane(screen)
    screen.close()


@pytest.mark.parametrize("numbers", [(TERM, TERM), (INT, TERM), (QUIT, TERM), (HUP, TERM), (INT, INT, INT, HUP)])
def test_no_signal_is_lost_on_another(numbers: tuple[signal.Signals, ...]) -> None:
    """Pi ignores the ones that it may, and must be ended by the last."""
    script = "trap '' INT QUIT; echo ready; while :; do sleep 0.1; done"
    with session("alice", "pi-probe", "exec", "bash", "-c", script) as running:
        runner = waiting()
        for number in numbers:
            runner.kill(number)
        assert running.wait(2 * CLEAN_WITHIN).status in {128 + TERM, 128 + HUP}
        assert_clean()


def test_pi_hears_of_every_ctrl_c_and_goes_on() -> None:
    script = "trap 'echo heard' INT; echo ready; while :; do read -r -t 0.05 line && exit 4; done"
    with session("alice", "pi-probe", "exec", "bash", "-c", script) as running:
        runner = waiting()
        for _ in range(3):
            runner.kill(INT)
            assert running.hear() == b"heard"
            assert program(runner) == "bash", "no Python is needed for that"
        running.say(b"end")
        assert running.wait().status == 4


def test_when_shell_and_guard_are_killed_together_the_next_launch_sweeps() -> None:
    with session("alice", "pi-probe", *IDLE) as running:
        runner = waiting()
        [guard] = ours()["guard"]
        guard.kill(signal.SIGSTOP)
        runner.kill(KILL)
        guard.kill(KILL)
        until(lambda: not runner.there() and not guard.there(), "both are dead")
        [directory] = staged()
        inside("true").ok()
        assert not directory.exists() and running.unit not in units()
        assert_clean()


def test_closed_streams_are_no_obstacle() -> None:
    script = f'exec <&- >&- 2>&-; pi-probe exec sh -c "{LONG}; exit 4"; echo $? >status'
    as_user("alice", "sh", "-c", script).ok()
    assert (demo("alice") / "status").read_text() == "4\n"
    (demo("alice") / "status").unlink()
    assert_clean()
