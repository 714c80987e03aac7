"""Starting a unit, seeing it out, and its exit status, with stand-ins for systemd."""

from __future__ import annotations

import os
import pty
import subprocess
import termios
from pathlib import Path

import pytest

from pi_agent.linux import terminals
from pi_agent.messages import start_refusals
from pi_agent.messages.refusal import EX_UNAVAILABLE, Refusal
from pi_agent.session.gate import Gate
from tests.support.limits import open_descriptors
from tests.support.running import Running


@pytest.fixture
def running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Running:
    return Running(tmp_path, monkeypatch)


def test_success_is_success(running: Running) -> None:
    assert running.run(running.ended(0)) == 0
    assert running.bin.calls("systemctl") == [], "nothing needs to be asked"


def test_a_session_is_furnished_once_before_it_is_let_in(running: Running) -> None:
    flag = running.bin.top / "furnished"
    seen: list[bool] = []

    def furnish(process: int) -> None:
        os.fstat(process)
        seen.append(flag.exists())
        flag.touch(exist_ok=False)

    assert running.run(f'[ -e "{flag}" ] || exit 9\n' + running.ended(0), furnish=furnish) == 0
    assert seen == [False]


@pytest.mark.parametrize("furnished", [OSError(5, "x"), start_refusals.session_not_started("u.service")])
def test_a_session_that_cannot_be_furnished_is_not_let_in(running: Running, furnished: Exception) -> None:
    def furnish(_: int) -> None:
        raise furnished

    ran = running.bin.top / "ran"
    with pytest.raises(Refusal) as caught:
        running.run(f'touch "{ran}"', furnish=furnish)
    assert caught.value.status == EX_UNAVAILABLE
    assert not ran.exists()
    assert "systemctl kill --signal=KILL u.service" in running.bin.calls()


@pytest.mark.parametrize("terminal", [False, True])
@pytest.mark.parametrize("status", [0, 1, 3, 137, 143, 255])
def test_the_status_is_the_reported_one_whatever_systemd_makes_of_it(
    running: Running, status: int, terminal: bool
) -> None:
    """systemd 257 may mistake the launcher for «not our child», and then knows no status of it."""
    for client in (status, 0, 1):
        assert running.run(running.ended(status) + f"exit {client}", terminal=terminal) == status


@pytest.mark.parametrize("terminal", [False, True])
@pytest.mark.parametrize("client", ["exit 255", "exit 1", "exit 0", "kill -9 $$"])
def test_without_a_report_of_the_end_it_was_killed(running: Running, client: str, terminal: bool) -> None:
    assert running.run(client, terminal=terminal) == 137


@pytest.mark.parametrize("terminal", [False, True])
def test_a_unit_of_which_something_is_left_is_stopped_and_forgotten(running: Running, terminal: bool) -> None:
    running.is_gone = False
    assert running.run(running.ended(3), terminal=terminal) == 3
    assert {"systemctl stop u.service", "systemctl reset-failed u.service"} <= {*running.bin.calls()}


def test_where_nobody_can_tell_what_is_left_the_unit_is_stopped(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: str) -> bool:
        raise PermissionError

    monkeypatch.setattr("pi_agent.session.control_group.is_gone", fail)
    assert running.run(running.ended(0)) == 0
    assert "systemctl stop u.service" in running.bin.calls()


def test_a_unit_that_never_came_to_run_pi_is_refused(running: Running) -> None:
    with pytest.raises(Refusal) as caught:
        running.run("exit 1", started=False)
    assert caught.value.status == EX_UNAVAILABLE
    assert "u.service" in caught.value.remedy


def test_what_runs_without_being_let_in_is_killed_and_refused(running: Running) -> None:
    with pytest.raises(Refusal) as caught:
        running.run(f'echo started >"{running.session.report}"\n' + running.ended(0), started=False)
    assert caught.value.status == EX_UNAVAILABLE
    assert "systemctl kill --signal=KILL u.service" in running.bin.calls()
    assert running.limited == []


def test_a_session_is_limited_once_it_waits_and_before_it_is_let_in(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[str]] = []
    opened = Gate.open

    def look(gate: Gate) -> None:
        seen.append([*running.limited])
        opened(gate)

    monkeypatch.setattr(Gate, "open", look)
    assert running.run(running.ended(0)) == 0
    assert seen == [["u.service"]]


def test_a_session_that_cannot_be_limited_is_not_let_in(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object) -> None:
        raise start_refusals.session_not_limited("no control group")

    monkeypatch.setattr("pi_agent.session.supervision.Limiter.finish", fail)
    ran = running.bin.top / "ran"
    with pytest.raises(Refusal) as caught:
        running.run(f'touch "{ran}"')
    assert "no control group" in caught.value.what
    assert not ran.exists()
    assert "systemctl kill --signal=KILL u.service" in running.bin.calls()


def test_a_launcher_that_ended_in_pis_place_has_its_own_status(running: Running) -> None:
    assert running.run(running.let_in + running.ended(77) + "exit 77", started=False) == 77


def test_a_unit_that_outlives_the_client_is_stopped_and_reports_how_it_ended(running: Running) -> None:
    running.is_gone = False
    assert running.run("kill -9 $$", f"[ $1 != stop ] || {running.ended(143)}") == 143
    assert "systemctl stop u.service" in running.bin.calls()


def test_at_a_terminal_a_client_that_lets_go_of_the_unit_is_no_end(running: Running) -> None:
    """systemd-run then ends with success: ^] was typed three times."""
    running.is_gone = False
    assert running.run("exit 0", terminal=True) == 137
    assert "systemctl stop u.service" in running.bin.calls()


@pytest.mark.parametrize(
    "body", ["ended 0", "ended 3", "ended 255; exit 255", "ended 137", "ended 143", "ended 0; kill -9 $$", "exit 0"]
)
def test_a_terminal_is_put_right_however_the_session_ended(
    running: Running, monkeypatch: pytest.MonkeyPatch, body: str
) -> None:
    master, slave = pty.openpty()
    screen = terminals.Terminal(slave, termios.tcgetattr(slave), b"reset")
    monkeypatch.setattr(terminals, "seen", lambda environ: screen)
    for word in ("ended 0", "ended 3", "ended 255", "ended 137", "ended 143"):
        body = body.replace(word, running.ended(int(word.split()[1])).rstrip())
    running.run(body, terminal=True)
    os.set_blocking(master, False)
    assert os.read(master, 100) == b"reset"
    os.close(master)


def test_a_unit_that_has_ended_is_not_stopped(running: Running) -> None:
    running.run("exit 1")
    assert running.bin.calls("systemctl") == []


def test_starting_and_seeing_out_leave_no_descriptor_open_but_what_they_return(running: Running) -> None:
    before = open_descriptors()
    running.run("exit 1")
    with pytest.raises(Refusal):
        running.run("exit 1", started=False)
    assert open_descriptors() == before


def test_the_client_gets_the_terminals_variables_and_nothing_of_the_callers(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", "x")
    running.run(f'/usr/bin/env > "{running.session.directory}/env"')
    lines = Path(f"{running.session.directory}/env").read_text().splitlines()
    assert "TERM=xterm" in lines and "SYSTEMD_COLORS=0" in lines
    assert not any(line.startswith(("SECRET", "HOME", "PATH=")) and "SECRET" in line for line in lines)


def test_the_client_alone_has_the_other_end_of_the_pipe_that_tells_of_its_end(running: Running) -> None:
    def pipes(of: int | str) -> set[str]:
        listed = subprocess.run(["ls", "-l", f"/proc/{of}/fd"], capture_output=True, text=True, check=False).stdout
        return {line.rpartition(" ")[2] for line in listed.splitlines() if "pipe:" in line}

    before = pipes(os.getpid())
    assert running.run(f'ls -l /proc/$$/fd >"{running.bin.top}/open"\n' + running.ended(0)) == 0
    inherited = {line.rpartition(" ")[2] for line in (running.bin.top / "open").read_text().splitlines()}
    assert len({each for each in inherited - before if each.startswith("pipe:")}) == 1
