"""However a session ends, its status is clear, and nothing of it is left within five seconds."""

from __future__ import annotations

import signal
import subprocess
import time

import pytest
from support.commands import inside, login, on_machine
from support.installed import agent, demo
from support.leftovers import assert_clean, staged
from support.processes import Process, ours, processes
from support.sessions import IDLE, session
from support.terminals import ended, has_signals, terminal
from support.units import every_unit, settle, shown, units
from support.waiting import CLEAN_WITHIN, until

HUP, INT, TERM, KILL = signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGKILL
# The status of a session after a signal to one of its parts: Pi was told to end, by TERM.
STOPPED = {128 + TERM}
# If somebody else stops the unit, systemd does it. In one launch of ten, version 257 mistakes the first process of a
# PID namespace for «not our child», and a stop then kills it at once.
STOPPED_BY_SYSTEMD = {128 + TERM, 128 + KILL}
# Ends on any signal that it receives.
FRAIL = ("exec", "bash", "-c", "echo ready; exec cat >/dev/null")


def part(name: str) -> Process:
    """One of the processes that make up the only session."""
    if name in ("launcher", "pi"):
        uid = agent("pi-probe").pw_uid
        found = sorted((process for process in processes() if process.uid == uid), key=lambda process: process.pid)
        return found[0 if name == "launcher" else 1]
    group = ours()[name]
    # sudo may run as two processes, and the runner forks. A signal from the user goes to the first one.
    return min(group, key=lambda process: process.pid)


def assert_gone(since: float) -> None:
    assert_clean()
    assert time.monotonic() - since < 2 * CLEAN_WITHIN


@pytest.mark.parametrize(
    ("name", "number", "statuses"),
    [
        ("sudo", HUP, {129} | STOPPED),
        ("sudo", INT, {130}),
        ("sudo", TERM, STOPPED),
        ("sudo", KILL, {137}),
        ("runner", HUP, {129} | STOPPED),
        ("runner", INT, {130}),
        ("runner", TERM, STOPPED),
        ("runner", KILL, {137}),
        ("systemd-run", HUP, {128 + HUP, 128 + HUP} | STOPPED),
        ("systemd-run", INT, {128 + HUP, 128 + INT} | STOPPED),
        ("systemd-run", TERM, {128 + HUP, 128 + TERM} | STOPPED),
        ("systemd-run", KILL, {128 + HUP, 128 + KILL} | STOPPED),
        ("launcher", HUP, {129}),
        ("launcher", INT, {130}),
        ("launcher", TERM, {143}),
        ("launcher", KILL, {137}),
        ("pi", HUP, {129}),
        ("pi", INT, {130}),
        ("pi", TERM, {143}),
        ("pi", KILL, {137}),
    ],
)
def test_a_signal_to_any_part_ends_the_session_with_a_clear_status(
    name: str, number: signal.Signals, statuses: set[int]
) -> None:
    with session("alice", "pi-probe", *FRAIL) as running:
        target = part(name)
        running.settled()
        since = time.monotonic()
        target.kill(number)
        assert running.client.wait(CLEAN_WITHIN) in statuses | {128 - status for status in statuses}
        assert_gone(since)
        if name not in ("sudo", "runner") or number is not KILL:
            assert running.client.stderr is not None
            assert b"Traceback" not in running.client.stderr.read()


@pytest.mark.parametrize("number", [HUP, INT, TERM, KILL])
def test_a_guard_that_is_signalled_changes_nothing(number: signal.Signals) -> None:
    with session("alice", "pi-probe", *IDLE) as running:
        part("guard").kill(number)
        result = running.wait()
        assert result.status == 0
        assert_clean()


@pytest.mark.parametrize("name", ["sudo", "runner", "systemd-run", "launcher"])
def test_a_program_that_ignores_signals_is_killed_in_the_end(name: str) -> None:
    with session("alice", "pi-probe", *STUBBORN) as running:
        running.settled()
        since = time.monotonic()
        part(name).kill(KILL if name == "launcher" else TERM)
        until(lambda: running.client.poll() is not None, "the client has ended", 2 * CLEAN_WITHIN)
        assert running.client.returncode in (137, -9, 143, -15)
        assert_gone(since)


@pytest.mark.parametrize("name", ["sudo", "runner", "launcher"])
@pytest.mark.parametrize(("number", "status"), [(HUP, 8), (TERM, 9)])
def test_a_program_that_cleans_up_when_told_to_end_may_do_so(name: str, number: signal.Signals, status: int) -> None:
    script = (
        "trap 'echo hung up >made; exit 8' HUP; trap 'echo told to end >made; exit 9' TERM; echo ready; "
        "while :; do sleep 0.05; done"
    )
    with session("alice", "pi-probe", "exec", "bash", "-c", script) as running:
        running.settled()
        part(name).kill(number)
        assert running.client.wait(CLEAN_WITHIN) == status
        assert (demo("alice") / "made").read_text() == {HUP: "hung up\n", TERM: "told to end\n"}[number]


def test_when_runner_and_guard_are_killed_together_the_next_launch_sweeps() -> None:
    with session("alice", "pi-probe", *IDLE) as running:
        guard, runner = part("guard"), part("runner")
        guard.kill(signal.SIGSTOP)
        runner.kill(KILL)
        guard.kill(KILL)
        until(lambda: not runner.there() and not guard.there(), "both are dead")
        [directory] = staged()
        assert running.unit in units()
        inside("true").ok()
        assert not directory.exists()
        assert running.unit not in units()
        assert_clean()


def test_a_sweep_leaves_sessions_that_live_alone() -> None:
    with session("alice", "pi-probe", *IDLE) as first, session("bob", "pi-probe", *IDLE) as second:
        inside("true").ok()
        inside("true", user="bob").ok()
        for running in (first, second):
            assert running.client.poll() is None
            assert shown(running.unit, "ActiveState") == "active"
            assert running.wait().status == 0


def test_a_session_that_an_administrator_stops_is_told_apart_from_success() -> None:
    with session("alice", "pi-probe", *FRAIL) as running:
        on_machine("systemctl", "stop", running.settled().unit).ok()
        assert running.wait().status in STOPPED_BY_SYSTEMD
    with session("alice", "pi-probe", *FRAIL) as running:
        on_machine("systemctl", "kill", "--signal=KILL", running.settled().unit).ok()
        assert running.wait().status == 137


def test_a_session_that_systemd_run_lets_go_of_is_ended() -> None:
    """systemd-run lets go of the unit and reports success once `^]` is typed three times, followed by Ctrl-C."""
    screen = terminal("alice", "pi-probe", *STUBBORN)
    screen.expect("ready")
    settle(units("alice")[0])
    screen.send("\x1d\x1d\x1d")
    # Until then, Ctrl-C is an ordinary character.
    until(lambda: has_signals(part("systemd-run")), "systemd-run has let go of the terminal")
    screen.send("\x03")
    assert ended(screen) == 137
    assert_gone(time.monotonic())


def test_the_whole_slice_can_be_stopped() -> None:
    with session("alice", "pi-probe", *FRAIL) as first, session("bob", "pi-probe", *FRAIL) as second:
        first.settled()
        second.settled()
        on_machine("systemctl", "stop", "pi-agent.slice").ok()
        assert first.wait().status in STOPPED_BY_SYSTEMD
        assert second.wait().status in STOPPED_BY_SYSTEMD


SLEEPER = ("exec", "bash", "-c", "echo ready; exec sleep 1000")
STUBBORN = ("exec", "bash", "-c", "trap '' HUP INT TERM; echo ready; while :; do sleep 0.1; done")


@pytest.mark.parametrize(
    ("name", "number", "statuses"),
    [
        ("sudo", HUP, {129} | STOPPED),
        ("sudo", INT, {129, 130} | STOPPED),
        ("sudo", TERM, {129} | STOPPED),
        ("sudo", KILL, {137}),
        ("runner", HUP, {129} | STOPPED),
        ("runner", INT, {130}),
        ("runner", TERM, STOPPED),
        ("runner", KILL, {137}),
        ("systemd-run", HUP, {128 + HUP, 128 + HUP} | STOPPED),
        ("systemd-run", INT, {128 + HUP, 128 + INT} | STOPPED),
        ("systemd-run", TERM, {128 + HUP, 128 + TERM} | STOPPED),
        ("systemd-run", KILL, {128 + HUP, 128 + KILL} | STOPPED),
    ],
)
def test_on_a_terminal_a_signal_to_any_part_ends_the_session_with_a_clear_status(
    name: str, number: signal.Signals, statuses: set[int]
) -> None:
    screen = terminal("alice", "pi-probe", *SLEEPER)
    screen.expect_exact(b"ready")
    settle(units("alice")[0])
    part(name).kill(number)
    assert ended(screen) in statuses
    assert_clean()


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("runner", HUP),
        ("runner", TERM),
        ("sudo", TERM),
        ("systemd-run", TERM),
        ("systemd-run", KILL),
    ],
)
def test_on_a_terminal_a_program_that_ignores_signals_is_killed_in_the_end(name: str, number: signal.Signals) -> None:
    screen = terminal("alice", "pi-probe", *STUBBORN)
    screen.expect_exact(b"ready")
    settle(units("alice")[0])
    part(name).kill(number)
    assert ended(screen) in {129, 137, 143}
    assert_clean()


@pytest.mark.parametrize("number", [HUP, INT, TERM, KILL])
def test_a_signal_before_the_sandbox_stands_is_not_lost(number: signal.Signals) -> None:
    with subprocess.Popen(
        login("alice", ["pi-probe", *FRAIL]), stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, cwd="/"
    ) as client:
        until(staged, "a session is being staged")
        part("runner").kill(number)
        assert client.wait(CLEAN_WITHIN) in (128 + number, 128 + TERM if number is HUP else 128 + number)
        assert_clean()


def test_ten_sessions_in_a_row_leave_nothing_and_none_fails() -> None:
    result = inside("true")
    before = len(every_unit())
    for _ in range(10):
        result = inside("true")
        assert (result.status, result.stdout, result.stderr) == (0, b"", b"")
        assert_clean()
    # systemd takes its time to forget units of mounts that are gone.
    until(lambda: len(every_unit()) <= before + 2, "systemd has forgotten them")
