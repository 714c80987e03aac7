"""Passing signals from the runner to Pi, with stand-ins for systemd."""

from __future__ import annotations

import ctypes
import os
import pty
import select
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from pi_agent.linux import processes
from pi_agent.linux.terminals import Terminal
from pi_agent.session import signal_relay, systemctl
from pi_agent.session.signal_relay import Above, Relay
from tests.support.people import needs_root
from tests.support.running import LISTENING, Running, waiting


@pytest.fixture
def running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Running:
    return Running(tmp_path, monkeypatch)


@pytest.mark.parametrize(
    ("terminal", "ended", "expected"), [(True, 129, 143), (True, 5, 5), (True, 0, 0), (False, 129, 129)]
)
def test_a_terminal_that_goes_with_a_term_is_not_what_ended_pi(
    running: Running, terminal: bool, ended: int, expected: int
) -> None:
    """sudo signals the group, including systemd-run. Pi may learn of the terminal first."""
    begun = running.bin.top / "begun"
    # The runner waits already, so that the signal is for Pi and does not come too early.
    body = waiting(f'[ -e "{begun}" ]') + LISTENING + f"kill -TERM $PPID\n{running.ended(ended)}"
    assert running.run(body, terminal=terminal, furnish=lambda process: begun.touch()) == expected


@pytest.mark.parametrize(
    "number",
    [signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP],
)
def test_signals_are_passed_on_as_they_are(running: Running, number: signal.Signals) -> None:
    """Pi tells a hang-up from an order to end, and ends with another status."""
    expected = f"systemctl kill --kill-whom=main --signal={int(number)} u.service"
    log = running.bin.log
    wait = waiting(f'grep -q "{expected}" "{log}"')
    assert running.run(f"{LISTENING}kill -{int(number)} $PPID\n{wait}\n{running.ended(0)}") == 0
    assert expected in running.bin.calls()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_who_does_not_end_in_time_when_asked_to_is_killed(
    running: Running, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    monkeypatch.setattr(systemctl, "GRACE", 1)
    killed = "systemctl kill --signal=KILL u.service"
    wait = waiting(f'grep -q "{killed}" "{running.bin.log}"')
    assert running.run(f"{LISTENING}kill -{int(number)} $PPID\n{wait}\nexit 255") == 137
    asked, *then = running.bin.calls("systemctl kill")
    assert asked == f"systemctl kill --kill-whom=main --signal={int(number)} u.service"
    assert set(then) == {killed}, "more than once where the script is slow to end"


@pytest.mark.parametrize(
    ("number", "patient"),
    [(signal.SIGINT, True), (signal.SIGQUIT, True), (signal.SIGTERM, False), (signal.SIGHUP, False)],
)
def test_only_who_was_asked_to_end_has_no_more_than_the_grace(
    running: Running, monkeypatch: pytest.MonkeyPatch, number: signal.Signals, patient: bool
) -> None:
    r"""Pi decides what Ctrl-C and Ctrl-\ mean."""
    monkeypatch.setattr(systemctl, "GRACE", 3600)
    wait = waiting(f'grep -q "systemctl kill" "{running.bin.log}"')
    assert running.run(f"{LISTENING}kill -{int(number)} $PPID\n{wait}\n{running.ended(0)}") == 0
    assert (signal.alarm(0) == 0) is patient


def test_an_alarm_that_comes_after_the_end_interrupts_nothing(running: Running) -> None:
    running.run(running.ended(0))
    os.kill(os.getpid(), signal.SIGALRM)
    assert not running.bin.calls("systemctl kill")


def test_afterwards_no_signal_can_interrupt_the_clean_up(running: Running) -> None:
    running.run(running.ended(0))
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM):
        assert signal.getsignal(number) == signal.SIG_IGN


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_before_pi_could_hear_it_ends_the_session(running: Running, number: signal.Signals) -> None:
    wait = waiting(f'grep -q "systemctl kill --signal=KILL u.service" "{running.bin.log}"')
    said = running.run(f"{LISTENING}kill -{int(number)} $PPID\n{wait}\nexit 255", started=False)
    assert said == 128 + number
    assert not running.bin.calls("systemctl kill --kill-whom"), "nobody would hear it"


def test_a_unit_that_has_no_process_yet_is_killed_until_it_has_ended(running: Running) -> None:
    """`systemctl kill` succeeds for it without having killed anything."""
    wait = waiting(f'[ "$(grep -c "systemctl kill --signal=KILL" "{running.bin.log}")" -ge 3 ]')
    assert running.run(f"{LISTENING}kill -15 $PPID\n{wait}\nexit 255", started=False) == 143


def test_who_asks_systemd_for_a_unit_that_never_comes_is_told_to_let_go(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signal_relay, "_PATIENCE", 0.1)
    told = running.bin.top / "told"
    asking = f"trap 'echo >\"{told}\"; exit 1' TERM\n{LISTENING}kill -15 $PPID\n" + waiting("false")
    assert running.run(asking, started=False) == 143
    assert told.exists(), "it did not let go by itself, tired of waiting"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_right_after_the_start_hits_the_session_and_not_the_runner(
    running: Running, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    start = processes.start

    def interrupted(
        argv: Sequence[str], environ: Mapping[str, str], *, own_group: bool, descriptors: Sequence[int]
    ) -> int:
        pid = start(argv, environ, own_group=own_group, descriptors=descriptors)
        os.kill(os.getpid(), number)
        return pid

    monkeypatch.setattr(processes, "start", interrupted)
    try:
        assert running.run("exit 255", started=False) == 128 + number
    except KeyboardInterrupt:
        pytest.fail("it hit the runner")
    assert "systemctl kill --signal=KILL u.service" in running.bin.calls()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_before_the_start_starts_nothing(
    running: Running, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    enter = Relay.__enter__

    def interrupted(entering: Relay) -> Relay:
        entered = enter(entering)
        os.kill(os.getpid(), number)
        return entered

    monkeypatch.setattr(Relay, "__enter__", interrupted)
    assert running.run("exit 0", furnish=lambda process: pytest.fail("nothing starts")) == 128 + number
    assert not running.bin.calls("systemd_run")
    assert not running.bin.calls("systemctl kill --signal"), "there is nothing that could be waited for"


# -- what started the runner


@pytest.mark.parametrize("alive", [True, False])
def test_a_terminal_is_put_right_at_once_if_the_sudo_that_is_on_it_has_died(alive: bool) -> None:
    """That the one which started the runner lives says nothing: it waits for the runner."""
    master, slave = pty.openpty()
    child = os.fork()
    if child == 0:
        signal.pause()
    front = os.pidfd_open(child)
    if not alive:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    Above(os.getppid(), Terminal(slave, None, b"reset"), front).look()
    assert bool(select.select([master], [], [], 0)[0]) is not alive
    if alive:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    for descriptor in (master, slave, front):
        os.close(descriptor)


def _told() -> int:
    """The signal that this process gets when its parent dies (PR_GET_PDEATHSIG, prctl(2))."""
    found = ctypes.c_int()
    assert ctypes.CDLL(None).prctl(2, ctypes.byref(found), 0, 0, 0) == 0
    return found.value


@needs_root
def test_the_death_of_sudo_is_told_even_after_acting_as_somebody_else() -> None:
    above = signal_relay.above(None)
    assert _told() == signal.SIGTERM
    os.seteuid(65534)
    os.seteuid(0)
    assert _told() == 0, "the kernel has forgotten it"
    above.watch()
    assert _told() == signal.SIGTERM
    processes.signalled_when_parent_dies(0)


def test_a_sudo_that_died_before_is_told_at_once() -> None:
    heard: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: heard.append(number))
    Above(os.getppid() + 1, None).watch()
    processes.signalled_when_parent_dies(0)
    signal.signal(signal.SIGTERM, before)
    assert heard == [signal.SIGTERM]
