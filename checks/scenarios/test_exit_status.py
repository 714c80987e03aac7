"""The exit status of `pi` is Pi's, 128 + n if signal n ended it. Our own refusals use those of sysexits(3)."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from support.commands import as_user, inside, on_machine
from support.installed import FACTS, home, isolated, policy
from support.terminals import ended, terminal

from pi_agent.linux.terminals import RESET

# What a program does, and the status that a shell would show for it.
ENDS = [
    ("exit 0", 0),
    ("exit 1", 1),
    ("exit 3", 3),
    ("exit 64", 64),
    ("exit 77", 77),
    ("exit 126", 126),
    ("exit 255", 255),
    ("kill -INT $$", 130),
    ("exec sh -c 'kill -QUIT $$'", 131),
    ("kill -ABRT $$", 134),
    ("kill -KILL $$", 137),
    ("kill -SEGV $$", 139),
    ("kill -PIPE $$", 141),
    ("kill -TERM $$", 143),
    ("kill -HUP $$", 129),
    ("kill -USR1 $$", 138),
]


@pytest.mark.parametrize(("script", "status"), ENDS)
def test_in_a_pipe_the_status_is_what_a_shell_would_show(script: str, status: int) -> None:
    result = inside(f"echo said; {script}")
    assert (result.status, result.text, result.complaint) == (status, "said", "")


@pytest.mark.parametrize(("script", "status"), ENDS)
def test_on_a_terminal_the_status_is_what_a_shell_would_show(script: str, status: int) -> None:
    screen = terminal("alice", "pi-probe", "exec", "bash", "-c", f"echo said; {script}")
    assert ended(screen) == status
    # Any program may have left the terminal in any state.
    assert screen.before == b"said\r\n" + RESET


def test_who_ended_by_itself_with_a_signals_status_is_taken_for_one_that_was_signalled() -> None:
    screen = terminal("alice", "pi-probe", "exec", "bash", "-c", "exit 143")
    assert ended(screen) == 143
    assert screen.before == RESET


def test_a_real_pi_that_fails_says_so_in_its_status() -> None:
    result = as_user("alice", "pi", "-p", "hello", "--model", "there-is-no-such-model", "--provider", "nor-provider")
    assert result.status == 1
    as_user("alice", "pi", "-p", "hello").ok()


def test_a_program_that_cannot_be_run_is_told_apart_from_a_session_that_cannot() -> None:
    result = as_user("alice", "pi-probe", "exec", "there-is-no-such-program")
    assert result.status == 1  # from Python, which tried
    assert "No such file" in result.complaint


def test_what_the_program_left_behind_does_not_change_its_status() -> None:
    result = inside("(trap '' TERM; exec sleep 1000) & exit 5")
    assert result.status == 5


def test_refusals_have_statuses_of_their_own_and_no_traceback() -> None:
    cases = {}
    cases[77] = as_user("alice", "pi-probe", cwd="/")
    cases[78] = as_user("alice", "pi-missing-env", "x")
    (home("alice") / ".pi/agent/settings.json").write_text("[]")
    cases[65] = as_user("alice", "pi-probe", "x")
    for status, refused in cases.items():
        assert refused.status == status
        assert refused.stdout == b""
        lines = refused.stderr.decode().splitlines()
        assert len(lines) >= 2
        assert lines[0].startswith("pi")
        assert all(line.startswith("    ") for line in lines[1:])
        assert "Traceback" not in refused.complaint


def test_refusals_have_the_same_statuses_on_a_terminal() -> None:
    (home("alice") / ".pi/agent/settings.json").write_text("[]")
    assert ended(terminal("alice", "pi-probe", "x")) == 65
    assert ended(terminal("alice", "pi-probe", "x", cwd="/")) == 77
    assert ended(terminal("alice", "pi-missing-env", "x")) == 78
    assert not isolated("alice", "settings.json", "pi-probe").exists()


def test_a_shell_sees_the_signal_that_ended_pi() -> None:
    result = as_user("alice", "sh", "-c", "pi-probe exec sh -c 'kill -9 $$'; echo $?")
    assert result.text == str(128 + signal.SIGKILL)


def test_without_sudo_the_message_says_what_is_needed() -> None:
    sudo = os.path.realpath(FACTS["sudo"])
    on_machine("mount", "--bind", "/dev/null", sudo).ok()
    try:
        refused = as_user("alice", "pi-probe", "x")
    finally:
        on_machine("umount", sudo).ok()
    assert refused.status == 69
    assert "pi-agent needs sudo" in refused.complaint


def test_a_unit_that_systemd_does_not_start_is_told_with_where_to_look() -> None:
    on_machine("systemctl", "stop", "pi-agent.slice").ok()
    on_machine("systemctl", "mask", "--runtime", "pi-agent.slice").ok()
    try:
        refused = as_user("alice", "pi-probe", "x")
    finally:
        on_machine("systemctl", "unmask", "--runtime", "pi-agent.slice").ok()
    assert refused.status == 69
    assert "journalctl" in refused.complaint
    as_user("alice", "pi-probe", "x").ok()


def test_a_state_directory_that_is_missing_or_somebody_elses_is_refused_by_name() -> None:
    top = Path(policy("pi-probe")["stateDir"])
    away = top.with_name("away")
    top.rename(away)
    try:
        missing = as_user("alice", "pi-probe", "x")
        top.mkdir(mode=0o755)
        foreign = as_user("alice", "pi-probe", "x")
        top.rmdir()
        top.symlink_to(away)
        linked = as_user("alice", "pi-probe", "x")
        top.unlink()
    finally:
        away.rename(top)
    for refused in (missing, foreign, linked):
        assert refused.status == 78
        assert f"the state directory {top} cannot be used" in refused.complaint
        assert "systemd-tmpfiles" in refused.complaint
