from __future__ import annotations

import os
import pty
import signal
import subprocess
import termios
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from pi_agent.linux import processes, terminals
from pi_agent.messages.refusal import EX_UNAVAILABLE, Refusal
from pi_agent.sandbox import mounts
from pi_agent.session import signal_relay, supervision, systemctl, systemd_run
from pi_agent.session.session_names import Session
from pi_agent.session.signal_relay import Relay
from pi_agent.session.systemd_run import Start
from tests.support.fakes import Bin
from tests.support.policies import frozen, replaced

_POLICY = frozen(launcher="/store/launch.bash", systemCallFilter="/store/filter")
_TOOLS = _POLICY.tools
_SESSION = Session("pi-agent-alice-0.service", "/run/pi-agent/pi-agent-alice-0")


def test_the_command_by_example() -> None:
    argv = systemd_run.command(_POLICY, _SESSION, ["User=996", "A=b c%h$x"], terminal=False)
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
        "/nix/store/util-linux/bin/setpriv",
        "--no-new-privs",
        "--seccomp-filter",
        "/store/filter",
        "--",
        "/nix/store/bash/bin/bash",
        "-p",
        "/store/launch.bash",
    ]


def test_at_a_terminal_there_is_a_pty_without_a_tint_and_no_pipe() -> None:
    argv = systemd_run.command(_POLICY, _SESSION, [], terminal=True)
    assert {"--pty", "--background="} <= set(argv)
    assert "--pipe" not in argv


def test_at_a_terminal_pi_is_in_a_session_that_owns_it() -> None:
    first, *between, name, prompt = systemd_run.owning_terminal(_TOOLS, ["pi", "-p"])
    assert (first, between[0], name, prompt) == ("/nix/store/util-linux/bin/setsid", "--ctty", "pi", "-p")
    assert between[1:3] == ["/nix/store/bash/bin/bash", "-p"]


def test_who_suspends_itself_at_a_terminal_goes_on_at_once() -> None:
    # As Pi does on Ctrl-Z, in an orphaned process group as inside.
    suspends = "trap 'echo again; exit 3' CONT; while :; do kill -s TSTP 0; sleep 0.01; done"
    tools = replaced(_TOOLS, setsid="/usr/bin/setsid", bash="/bin/bash")
    master, slave = pty.openpty()
    words = systemd_run.owning_terminal(tools, ["/bin/bash", "-c", suspends])
    with subprocess.Popen(words, stdin=slave, stdout=subprocess.PIPE, stderr=slave) as process:
        os.close(slave)
        assert process.communicate(timeout=20)[0] == b"again\n"
        assert process.returncode == 3
    os.close(master)


# -- running it, with stand-ins for systemd


class Running:
    """A unit as the stand-ins play it: systemd-run's script, and what `systemctl show` says.

    started: whether launch.bash reports before the script goes on.
    """

    def __init__(self, tmp: Path) -> None:
        self.bin = Bin(tmp / "bin")
        self.session = Session("u.service", str(tmp / "session"))
        os.mkdir(self.session.directory)
        os.mkfifo(self.session.report)

    def ended(self, status: int) -> str:
        """A shell line by which launch.bash reports the end."""
        return f'echo ended {status} >"{self.session.report}"\n'

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
        report = f'echo started >"{self.session.report}"\n' if started else ""
        show = f"[ $1 != show ] || {{ {said or ':'}\n}}"
        ending = "[ $1 != is-active ] || exit 3"  # the unit ends as soon as it is asked to
        tools = self.bin.tools(systemd_run=report + body, systemctl=f"{systemctl}\n{show}\n{ending}")
        start = Start([tools.systemd_run], {"TERM": "xterm"}, terminal=terminal)
        return supervision.conduct(tools, self.session, start, meanwhile)


@pytest.fixture
def running(tmp_path: Path) -> Running:
    return Running(tmp_path)


def facts(code: int, status: int, state: str = "failed") -> str:
    return f"ActiveState={state} ExecMainCode={code} ExecMainStatus={status}"


def test_success_is_success(running: Running) -> None:
    assert running.conduct(running.ended(0)) == 0
    assert running.bin.calls("systemctl") == [], "nothing needs to be asked"


def test_what_is_done_meanwhile_is_done_once_while_the_unit_starts(running: Running) -> None:
    flag = running.bin.top / "meanwhile"
    body = waiting(f'[ -e "{flag}" ]') + running.ended(0)
    assert running.conduct(body, meanwhile=lambda: flag.touch(exist_ok=False)) == 0


@pytest.mark.parametrize("terminal", [False, True])
@pytest.mark.parametrize("status", [0, 1, 3, 137, 143, 255])
def test_the_status_is_the_reported_one_whatever_systemd_makes_of_it(
    running: Running, status: int, terminal: bool
) -> None:
    """systemd 257 may take the launcher for «not our child», and then knows no status of it."""
    for client, show in ((status, facts(1, status)), (0, facts(0, 0, "inactive")), (0, facts(1, 0)), (1, facts(2, 9))):
        assert running.conduct(running.ended(status) + f"exit {client}", show, terminal=terminal) == status


@pytest.mark.parametrize("terminal", [False, True])
@pytest.mark.parametrize(
    ("client", "code", "number", "expected"),
    [(255, 2, 9, 137), (1, 2, 15, 143), (255, 3, 11, 139), (0, 0, 0, 137), (0, 1, 0, 137), (5, 1, 5, 137)],
)
def test_without_a_report_of_the_end_it_was_killed(
    running: Running, client: int, code: int, number: int, expected: int, terminal: bool
) -> None:
    assert running.conduct(f"exit {client}", facts(code, number), terminal=terminal) == expected
    assert "systemctl reset-failed u.service" in running.bin.calls()


def test_a_unit_that_never_came_to_run_pi_is_refused(running: Running) -> None:
    with pytest.raises(Refusal) as caught:
        running.conduct("exit 1", facts(1, 1), started=False)
    assert caught.value.status == EX_UNAVAILABLE
    assert "u.service" in caught.value.remedy


def test_a_launcher_that_ended_in_pis_place_has_its_own_status(running: Running) -> None:
    assert running.conduct(running.ended(77) + "exit 77", facts(1, 77), started=False) == 77


def test_a_unit_that_outlives_the_client_is_stopped_and_reports_how_it_ended(running: Running) -> None:
    stopped = f"[ $1 != stop ] || {running.ended(143)}"
    assert running.conduct("kill -9 $$", facts(0, 0, "active"), systemctl=stopped) == 143
    assert "systemctl stop u.service" in running.bin.calls()


def test_at_a_terminal_a_client_that_lets_go_of_the_unit_is_no_end(running: Running) -> None:
    """systemd-run then ends with success: ^] was typed three times."""
    assert running.conduct("exit 0", facts(0, 0, "active"), terminal=True) == 137
    assert "systemctl stop u.service" in running.bin.calls()


@pytest.mark.parametrize("state", ["inactive", "failed"])
def test_at_a_terminal_a_success_of_a_unit_that_has_ended_is_one(running: Running, state: str) -> None:
    assert running.conduct(running.ended(0), facts(1, 0, state), terminal=True) == 0
    assert "systemctl stop u.service" not in running.bin.calls()


@pytest.mark.parametrize(
    ("body", "reset"),
    [
        ("ended 0", False),
        ("ended 3", False),
        ("ended 255; exit 255", False),
        ("ended 137", True),
        ("ended 143", True),
        ("ended 0; kill -9 $$", True),
        ("exit 0", True),
    ],
)
def test_a_terminal_is_put_right_where_a_signal_ended_who_was_on_it(
    running: Running, monkeypatch: pytest.MonkeyPatch, body: str, reset: bool
) -> None:
    master, slave = pty.openpty()
    screen = terminals.Terminal(slave, termios.tcgetattr(slave), b"reset")
    monkeypatch.setattr(terminals, "seen", lambda environ: screen)
    for word in ("ended 0", "ended 3", "ended 255", "ended 137", "ended 143"):
        body = body.replace(word, running.ended(int(word.split()[1])).rstrip())
    running.conduct(body, facts(1, 0), terminal=True)
    os.set_blocking(master, False)
    try:
        assert (os.read(master, 100) == b"reset") == reset
    except OSError:  # nothing was written before our end was closed
        assert not reset
    os.close(master)


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


# -- signals, on their way to Pi


@pytest.mark.parametrize(
    ("terminal", "ended", "expected"), [(True, 129, 143), (True, 5, 5), (True, 0, 0), (False, 129, 129)]
)
def test_a_terminal_that_goes_with_a_term_is_not_what_ended_pi(
    running: Running, terminal: bool, ended: int, expected: int
) -> None:
    """sudo signals the group, systemd-run with it; Pi may hear of the terminal first."""
    begun = running.bin.top / "begun"
    # Once the runner waits, for the signal to be for Pi, and not too early.
    body = waiting(f'[ -e "{begun}" ]') + _LISTENING + f"kill -TERM $PPID\n{running.ended(ended)}"
    assert running.conduct(body, facts(1, ended), terminal=terminal, meanwhile=begun.touch) == expected


def waiting(condition: str) -> str:
    """Shell lines that wait for a condition, but not for ever: some twenty seconds, however fast the machine is."""
    again = "tries=$((tries + 1)); [ $tries -lt 2000 ] || exit 99; sleep 0.01"
    return f"tries=0; until {condition}; do {again}; done\n"


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
def test_signals_are_passed_on(running: Running, number: signal.Signals, expected: str) -> None:
    log = running.bin.log
    wait = waiting(f'grep -q "{expected}" "{log}"')
    assert running.conduct(f"{_LISTENING}kill -{int(number)} $PPID\n{wait}\n{running.ended(0)}") == 0
    assert expected in running.bin.calls()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_who_does_not_end_in_time_when_asked_to_is_killed(
    running: Running, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    monkeypatch.setattr(systemctl, "GRACE", 1)
    killed = "systemctl kill --signal=KILL u.service"
    wait = waiting(f'grep -q "{killed}" "{running.bin.log}"')
    assert running.conduct(f"{_LISTENING}kill -{int(number)} $PPID\n{wait}\nexit 255", facts(2, 9)) == 137
    asked, *then = running.bin.calls("systemctl kill")
    assert asked == "systemctl kill --kill-whom=main --signal=TERM u.service"
    assert set(then) == {killed}, "more than once where the script is slow to end"


@pytest.mark.parametrize(
    ("number", "patient"),
    [(signal.SIGINT, True), (signal.SIGQUIT, True), (signal.SIGTERM, False), (signal.SIGHUP, False)],
)
def test_only_who_was_asked_to_end_has_no_more_than_the_grace(
    running: Running, monkeypatch: pytest.MonkeyPatch, number: signal.Signals, patient: bool
) -> None:
    """Ctrl-C and Ctrl-\\ mean whatever Pi takes them for."""
    monkeypatch.setattr(systemctl, "GRACE", 3600)
    wait = waiting(f'grep -q "systemctl kill" "{running.bin.log}"')
    assert running.conduct(f"{_LISTENING}kill -{int(number)} $PPID\n{wait}\n{running.ended(0)}") == 0
    assert (signal.alarm(0) == 0) is patient


def test_an_alarm_that_comes_after_the_end_interrupts_nothing(running: Running) -> None:
    running.conduct(running.ended(0))
    os.kill(os.getpid(), signal.SIGALRM)
    assert not running.bin.calls("systemctl kill")


def test_afterwards_no_signal_can_interrupt_the_clean_up(running: Running) -> None:
    running.conduct(running.ended(0))
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM):
        assert signal.getsignal(number) == signal.SIG_IGN


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_before_pi_could_hear_it_ends_the_session(running: Running, number: signal.Signals) -> None:
    wait = waiting(f'grep -q "systemctl kill --signal=KILL u.service" "{running.bin.log}"')
    said = running.conduct(f"{_LISTENING}kill -{int(number)} $PPID\n{wait}\nexit 255", facts(2, 9), started=False)
    assert said == 128 + number
    assert not running.bin.calls("systemctl kill --kill-whom"), "nobody would hear it"


def test_a_unit_that_has_no_process_yet_is_killed_until_it_has_ended(running: Running) -> None:
    """`systemctl kill` succeeds on it without having killed anything."""
    wait = waiting(f'[ "$(grep -c "systemctl kill --signal=KILL" "{running.bin.log}")" -ge 3 ]')
    assert running.conduct(f"{_LISTENING}kill -15 $PPID\n{wait}\nexit 255", facts(2, 9), started=False) == 143


def test_who_asks_systemd_for_a_unit_that_never_comes_is_told_to_let_go(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signal_relay, "_PATIENCE", 0.1)
    told = running.bin.top / "told"
    asking = f"trap 'echo >\"{told}\"; exit 1' TERM\n{_LISTENING}kill -15 $PPID\n" + waiting("false")
    assert running.conduct(asking, facts(0, 0, "inactive"), started=False) == 143
    assert told.exists(), "it did not let go by itself, tired of waiting"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_right_after_the_start_hits_the_session_and_not_the_runner(
    running: Running, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    start = processes.start

    def interrupted(argv: Sequence[str], environ: Mapping[str, str], *, own_group: bool) -> int:
        pid = start(argv, environ, own_group=own_group)
        os.kill(os.getpid(), number)
        return pid

    monkeypatch.setattr(processes, "start", interrupted)
    try:
        assert running.conduct("exit 255", facts(2, 9), started=False) == 128 + number
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
    assert running.conduct("exit 0", meanwhile=lambda: pytest.fail("nothing starts")) == 128 + number
    assert not running.bin.calls("systemd_run")
    assert not running.bin.calls("systemctl kill --signal"), "there is nothing that could be waited for"


def test_once_pi_runs_nothing_stays_mounted_for_the_host(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    flag = running.bin.top / "released"
    monkeypatch.setattr(mounts, "unstage", lambda places: flag.write_text("\n".join(places)))
    assert running.conduct(waiting(f'[ -e "{flag}" ]') + running.ended(0)) == 0
    assert flag.read_text().splitlines() == list(running.session.mounts)


def test_what_never_ran_is_left_to_the_guard(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mounts, "unstage", lambda places: pytest.fail("there is nothing to release"))
    with pytest.raises(Refusal):
        running.conduct("exit 1", facts(1, 1), started=False)
