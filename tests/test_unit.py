from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from pi_agent import control, process, unit
from pi_agent.refusals import EX_UNAVAILABLE, Refusal
from pi_agent.session import Session
from pi_agent.unit import Start
from tests.fakes import Bin
from tests.policies import frozen

_TOOLS = frozen().tools
_SESSION = Session("pi-agent-alice-0.service", "/run/pi-agent/pi-agent-alice-0")


def test_the_command_by_example() -> None:
    argv = unit.command(_TOOLS, "/store/launch.bash", _SESSION, ["User=996", "A=b c%h$x"], terminal=False)
    assert argv == [
        "/nix/store/systemd/bin/systemd-run",
        "--quiet",
        "--wait",
        "--expand-environment=no",
        "--service-type=exec",
        "--unit=pi-agent-alice-0.service",
        "--slice=pi-agent.slice",
        "--description=Pi coding agent",
        "--pipe",
        "--property=User=996",
        "--property=A=b c%h$x",
        "--",
        "/nix/store/bash/bin/bash",
        "-p",
        "/store/launch.bash",
    ]


def test_at_a_terminal_there_is_a_pty_without_a_tint_and_no_pipe() -> None:
    argv = unit.command(_TOOLS, "/l", _SESSION, [], terminal=True)
    assert {"--pty", "--background="} <= set(argv)
    assert "--pipe" not in argv


def test_pi_is_started_under_a_first_process_and_at_a_terminal_in_a_session_that_owns_it() -> None:
    assert unit.supervised(_TOOLS, terminal=False) == ["/nix/store/tini/bin/tini", "-s", "--"]
    assert unit.supervised(_TOOLS, terminal=True)[:2] == ["/nix/store/util-linux/bin/setsid", "--ctty"]
    assert unit.supervised(_TOOLS, terminal=True)[2:] == unit.supervised(_TOOLS, terminal=False)


# -- running it, with stand-ins for systemd


class Running:
    """A unit as the stand-ins play it: systemd-run's script, and what `systemctl show` says.

    started: whether launch.bash says its word before the script goes on.
    """

    def __init__(self, tmp: Path) -> None:
        self.bin = Bin(tmp / "bin")
        self.session = Session("u.service", str(tmp / "session"))
        os.mkdir(self.session.directory)
        os.mkfifo(self.session.started)
        os.utime(self.session.started, (1, 1))  # long before the word: the kernel's clock for files is a coarse one

    def conduct(
        self,
        body: str,
        show: str = "",
        systemctl: str = "",
        *,
        started: bool = True,
        terminal: bool = False,
        meanwhile: Callable[[], None] = lambda: None,
    ) -> int:
        said = "\n".join(f"echo {line}" for line in show.split())
        word = f'printf started >"{self.session.started}"\n' if started else ""
        show = f"[ $1 != show ] || {{ {said or ':'}\n}}"
        ending = "[ $1 != is-active ] || exit 3"  # the unit ends as soon as it is asked to
        tools = self.bin.tools(systemd_run=word + body, systemctl=f"{systemctl}\n{show}\n{ending}")
        start = Start([tools.systemd_run], {"TERM": "xterm"}, terminal=terminal)
        return unit.conduct(tools, self.session, start, meanwhile)


@pytest.fixture
def running(tmp_path: Path) -> Running:
    return Running(tmp_path)


def facts(code: int, status: int, state: str = "failed") -> str:
    return f"ActiveState={state} ExecMainCode={code} ExecMainStatus={status}"


def test_success_is_success(running: Running) -> None:
    assert running.conduct("exit 0") == 0


def test_what_is_done_meanwhile_is_done_once_while_the_unit_starts(running: Running) -> None:
    flag = running.bin.top / "meanwhile"
    assert running.conduct(waiting(f'[ -e "{flag}" ]') + "exit 0", meanwhile=lambda: flag.touch(exist_ok=False)) == 0


@pytest.mark.parametrize("terminal", [False, True])
@pytest.mark.parametrize(("client", "code", "number", "expected"), [
    (1, 1, 1, 1),
    (3, 1, 3, 3),
    (255, 1, 255, 255),
    (143, 1, 143, 143),
    (255, 2, 9, 137),
    (1, 2, 15, 143),
    (255, 3, 11, 139),
    (5, 0, 0, 5),
])  # fmt: skip
def test_the_status_is_pis(
    running: Running, client: int, code: int, number: int, expected: int, terminal: bool
) -> None:
    assert running.conduct(f"exit {client}", facts(code, number), terminal=terminal) == expected
    assert "systemctl reset-failed u.service" in running.bin.calls()


def test_a_unit_that_never_came_to_run_pi_is_refused(running: Running) -> None:
    with pytest.raises(Refusal) as caught:
        running.conduct("exit 1", facts(1, 1), started=False)
    assert caught.value.status == EX_UNAVAILABLE
    assert "u.service" in caught.value.remedy


def test_a_unit_that_outlives_the_client_is_stopped(running: Running) -> None:
    assert running.conduct("kill -9 $$", facts(0, 0, "active")) == 128 + signal.SIGTERM
    assert "systemctl stop u.service" in running.bin.calls()


def test_of_a_unit_that_had_to_be_stopped_the_status_is_asked_for_again(running: Running) -> None:
    ended = running.bin.top / "ended"
    before, after = (f"printf '%s\\n' {said}" for said in (facts(0, 0, "active"), facts(1, 7)))
    facts_now = f"""
[ $1 != stop ] || touch "{ended}"
[ $1 != show ] || {{ if [ -e "{ended}" ]; then {after}; else {before}; fi; exit; }}
"""
    assert running.conduct("kill -9 $$", systemctl=facts_now) == 7


def test_at_a_terminal_a_client_that_lets_go_of_the_unit_is_no_end(running: Running) -> None:
    """systemd-run then ends with success: ^] was typed three times."""
    assert running.conduct("exit 0", facts(0, 0, "active"), terminal=True) == 128 + signal.SIGTERM
    assert "systemctl stop u.service" in running.bin.calls()


@pytest.mark.parametrize("state", ["inactive", "failed"])
def test_at_a_terminal_a_success_of_a_unit_that_has_ended_is_one(running: Running, state: str) -> None:
    assert running.conduct("exit 0", facts(1, 0, state), terminal=True) == 0
    assert "systemctl stop u.service" not in running.bin.calls()


def test_a_unit_that_has_ended_is_not_stopped(running: Running) -> None:
    running.conduct("exit 1", facts(1, 1, "inactive"))
    assert "systemctl stop u.service" not in running.bin.calls()


def test_conducting_leaves_no_descriptor_open(running: Running) -> None:
    before = sorted(os.listdir("/proc/self/fd"))
    running.conduct("exit 1", facts(1, 1))
    with pytest.raises(Refusal):
        running.conduct("exit 1", facts(1, 1), started=False)
    assert sorted(os.listdir("/proc/self/fd")) == before


def test_the_client_gets_the_terminals_variables_and_nothing_of_the_callers(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", "x")
    running.conduct(f'/usr/bin/env > "{running.session.directory}/env"')
    lines = Path(f"{running.session.directory}/env").read_text().splitlines()
    assert "TERM=xterm" in lines and "SYSTEMD_COLORS=0" in lines
    assert not any(line.startswith(("SECRET", "HOME", "PATH=")) and "SECRET" in line for line in lines)


def waiting(condition: str) -> str:
    """Shell lines that wait for a condition, but not for ever."""
    return f"tries=0; until {condition}; do tries=$((tries + 1)); [ $tries -lt 2000 ] || exit 99; done\n"


# The runner waits for what it started; a signal that comes before counts as one that came too early.
_LISTENING = waiting("grep -q '^State:.S' /proc/$PPID/status")


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (signal.SIGINT, f"systemctl kill --kill-whom=main --signal={int(signal.SIGINT)} u.service"),
        (signal.SIGQUIT, f"systemctl kill --kill-whom=main --signal={int(signal.SIGQUIT)} u.service"),
        (signal.SIGTERM, "systemctl kill --kill-whom=main --signal=TERM u.service"),
        (signal.SIGHUP, "systemctl kill --kill-whom=main --signal=TERM u.service"),
    ],
)
def test_signals_are_passed_on(
    running: Running, monkeypatch: pytest.MonkeyPatch, number: signal.Signals, expected: str
) -> None:
    monkeypatch.setattr(unit, "_SETTLING", -60)
    log = running.bin.log
    wait = waiting(f'grep -q "{expected}" "{log}"')
    assert running.conduct(f"{_LISTENING}kill -{int(number)} $PPID\n{wait}\nexit 0") == 0
    assert expected in running.bin.calls()


def test_a_signal_that_came_before_the_unit_is_delivered_late(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unit, "_SETTLING", -60)
    log = running.bin.log
    twice = f'[ "$1" != kill ] || [ "$(grep -c "systemctl kill" "{log}")" -ge 2 ] || exit 5'
    wait = waiting(f'[ "$(grep -c "systemctl kill" "{log}")" -ge 2 ]')
    assert running.conduct(f"{_LISTENING}kill -15 $PPID\n{wait}\nexit 0", systemctl=twice) == 0
    assert running.bin.calls("systemctl") == ["systemctl kill --kill-whom=main --signal=TERM u.service"] * 2


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_who_does_not_end_in_time_when_asked_to_is_killed(
    running: Running, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    monkeypatch.setattr(unit, "_SETTLING", -60)
    monkeypatch.setattr(control, "GRACE", 1)
    killed = "systemctl kill --signal=KILL u.service"
    wait = waiting(f'grep -q "{killed}" "{running.bin.log}"')
    assert running.conduct(f"{_LISTENING}kill -{int(number)} $PPID\n{wait}\nexit 255", facts(2, 9)) == 137
    assert running.bin.calls("systemctl kill") == [
        "systemctl kill --kill-whom=main --signal=TERM u.service",
        killed,
    ]


@pytest.mark.parametrize(
    ("number", "patient"),
    [(signal.SIGINT, True), (signal.SIGQUIT, True), (signal.SIGTERM, False), (signal.SIGHUP, False)],
)
def test_only_who_was_asked_to_end_has_no_more_than_the_grace(
    running: Running, monkeypatch: pytest.MonkeyPatch, number: signal.Signals, patient: bool
) -> None:
    """Ctrl-C and Ctrl-\\ mean whatever Pi takes them for."""
    monkeypatch.setattr(unit, "_SETTLING", -60)
    monkeypatch.setattr(control, "GRACE", 3600)
    wait = waiting(f'grep -q "systemctl kill" "{running.bin.log}"')
    assert running.conduct(f"{_LISTENING}kill -{int(number)} $PPID\n{wait}\nexit 0") == 0
    assert (signal.alarm(0) == 0) is patient


def test_an_alarm_that_comes_after_the_end_interrupts_nothing(running: Running) -> None:
    running.conduct("exit 0")
    os.kill(os.getpid(), signal.SIGALRM)
    assert not running.bin.calls("systemctl kill")


def test_afterwards_no_signal_can_interrupt_the_clean_up(running: Running) -> None:
    running.conduct("exit 0")
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM):
        assert signal.getsignal(number) == signal.SIG_IGN


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("started", [False, True])
def test_a_signal_that_pi_could_not_hear_yet_ends_the_session(
    running: Running, monkeypatch: pytest.MonkeyPatch, number: signal.Signals, started: bool
) -> None:
    monkeypatch.setattr(unit, "_SETTLING", 3600)
    wait = waiting(f'grep -q "systemctl kill --signal=KILL u.service" "{running.bin.log}"')
    said = running.conduct(f"{_LISTENING}kill -{int(number)} $PPID\n{wait}\nexit 255", facts(2, 9), started=started)
    assert said == 128 + number
    assert not running.bin.calls("systemctl kill --kill-whom"), "nobody would hear it"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_right_after_the_start_hits_the_session_and_not_the_runner(
    running: Running, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    start = process.start

    def interrupted(argv: Sequence[str], environ: Mapping[str, str], *, own_group: bool) -> int:
        pid = start(argv, environ, own_group=own_group)
        os.kill(os.getpid(), number)
        return pid

    monkeypatch.setattr(process, "start", interrupted)
    try:
        assert running.conduct("exit 255", facts(2, 9), started=False) == 128 + number
    except KeyboardInterrupt:
        pytest.fail("it hit the runner")
    assert "systemctl kill --signal=KILL u.service" in running.bin.calls()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_before_the_start_starts_nothing(
    running: Running, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    enter = unit._Relay.__enter__

    def interrupted(relay: unit._Relay) -> unit._Relay:
        entered = enter(relay)
        os.kill(os.getpid(), number)
        return entered

    monkeypatch.setattr(unit._Relay, "__enter__", interrupted)
    assert running.conduct("exit 0", meanwhile=lambda: pytest.fail("nothing starts")) == 128 + number
    assert not running.bin.calls("systemd_run")
    assert not running.bin.calls("systemctl kill --signal"), "there is nothing that could be waited for"


def test_the_word_of_the_launcher_is_only_half_the_time_it_takes_to_hear(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    relay = unit._Relay(running.bin.tools(), running.session)
    monkeypatch.setattr(unit, "_SETTLING", -60)
    assert not relay._settled(), "nothing was said yet"
    word = os.open(running.session.started, os.O_RDWR | os.O_NONBLOCK)
    before = os.stat(running.session.started).st_mtime_ns
    while os.stat(running.session.started).st_mtime_ns == before:  # the kernel's clock for files is a coarse one
        os.write(word, b"started")
    assert relay._settled()
    monkeypatch.setattr(unit, "_SETTLING", 60)
    assert not relay._settled()
    os.close(word)
    os.unlink(running.session.started)
    assert relay._settled(), "the guard is at work"
