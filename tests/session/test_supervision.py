"""Running a unit to its end, and its exit status, with stand-ins for systemd."""

from __future__ import annotations

import os
import pty
import termios
from pathlib import Path

import pytest

from pi_agent.linux import terminals
from pi_agent.messages import start_refusals
from pi_agent.messages.refusal import EX_UNAVAILABLE, Refusal
from pi_agent.sandbox import mounts
from pi_agent.session.gate import Gate
from tests.support.limits import open_descriptors
from tests.support.running import Running, facts, waiting


@pytest.fixture
def running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Running:
    return Running(tmp_path, monkeypatch)


def test_success_is_success(running: Running) -> None:
    assert running.run(running.ended(0)) == 0
    assert running.bin.calls("systemctl") == [], "nothing needs to be asked"


def test_what_is_done_meanwhile_is_done_once_while_the_unit_starts(running: Running) -> None:
    flag = running.bin.top / "meanwhile"
    body = waiting(f'[ -e "{flag}" ]') + running.ended(0)
    assert running.run(body, meanwhile=lambda: flag.touch(exist_ok=False)) == 0


@pytest.mark.parametrize("terminal", [False, True])
@pytest.mark.parametrize("status", [0, 1, 3, 137, 143, 255])
def test_the_status_is_the_reported_one_whatever_systemd_makes_of_it(
    running: Running, status: int, terminal: bool
) -> None:
    """systemd 257 may mistake the launcher for «not our child», and then knows no status of it."""
    for client, show in ((status), (0), (0), (1)):
        assert running.run(running.ended(status) + f"exit {client}", show, terminal=terminal) == status


@pytest.mark.parametrize("terminal", [False, True])
@pytest.mark.parametrize(
    ("client", "code", "number", "expected"),
    [(255, 2, 9, 137), (1, 2, 15, 143), (255, 3, 11, 139), (0, 0, 0, 137), (0, 1, 0, 137), (5, 1, 5, 137)],
)
def test_without_a_report_of_the_end_it_was_killed(
    running: Running, client: int, code: int, number: int, expected: int, terminal: bool
) -> None:
    assert running.run(f"exit {client}", terminal=terminal) == expected
    assert "systemctl reset-failed u.service" in running.bin.calls()


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

    monkeypatch.setattr("pi_agent.session.supervision.Limiter.limit", fail)
    ran = running.bin.top / "ran"
    with pytest.raises(Refusal) as caught:
        running.run(f'touch "{ran}"')
    assert "no control group" in caught.value.what
    assert not ran.exists()
    assert "systemctl kill --signal=KILL u.service" in running.bin.calls()


def test_a_launcher_that_ended_in_pis_place_has_its_own_status(running: Running) -> None:
    assert running.run(running.let_in + running.ended(77) + "exit 77", started=False) == 77


def test_a_unit_that_outlives_the_client_is_stopped_and_reports_how_it_ended(running: Running) -> None:
    stopped = f"[ $1 != stop ] || {running.ended(143)}"
    assert running.run("kill -9 $$", systemctl=stopped) == 143
    assert "systemctl stop u.service" in running.bin.calls()


def test_at_a_terminal_a_client_that_lets_go_of_the_unit_is_no_end(running: Running) -> None:
    """systemd-run then ends with success: ^] was typed three times."""
    assert running.run("exit 0", terminal=True) == 137
    assert "systemctl stop u.service" in running.bin.calls()


@pytest.mark.parametrize("state", ["inactive", "failed"])
def test_at_a_terminal_a_success_of_a_unit_that_has_ended_is_one(running: Running, state: str) -> None:
    assert running.run(running.ended(0), terminal=True) == 0
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
    running.run(body, terminal=True)
    os.set_blocking(master, False)
    try:
        assert (os.read(master, 100) == b"reset") == reset
    except OSError:  # nothing was written before our end was closed
        assert not reset
    os.close(master)


def test_a_unit_that_has_ended_is_not_stopped(running: Running) -> None:
    running.run("exit 1")
    assert "systemctl stop u.service" not in running.bin.calls()


def test_running_a_unit_leaves_no_descriptor_open(running: Running) -> None:
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


def test_once_pi_runs_nothing_stays_mounted_for_the_host(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    flag = running.bin.top / "released"
    monkeypatch.setattr(mounts, "unstage", lambda places: flag.write_text("\n".join(places)))
    assert running.run(waiting(f'[ -e "{flag}" ]') + running.ended(0)) == 0
    assert flag.read_text().splitlines() == list(running.session.mounts)


def test_what_never_ran_is_left_to_the_guard(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mounts, "unstage", lambda places: pytest.fail("there is nothing to release"))
    with pytest.raises(Refusal):
        running.run("exit 1", started=False)
