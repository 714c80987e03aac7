"""On a terminal: keys, signals, size and the bytes on the screen."""

from __future__ import annotations

import re
import signal

import pexpect
import pytest
from support.installed import demo, isolated
from support.leftovers import assert_clean
from support.terminals import PROMPT, assert_sane, ended, hang_up, leave, shell, terminal, written
from support.waiting import CLEAN_WITHIN


def bash_inside(script: str, size: tuple[int, int] = (24, 80)) -> pexpect.spawn:
    return terminal("alice", "pi-probe", "exec", "bash", "-c", script, size=size)


def test_all_three_streams_are_the_sessions_terminal() -> None:
    screen = bash_inside("test -t 0 && test -t 1 && test -t 2 && echo x >/dev/tty")
    assert ended(screen) == 0
    assert written(screen).splitlines() == [b"x"]


def test_no_terminal_but_those_made_inside_can_be_named() -> None:
    """All agents are one user. With the name of a terminal, one could open another's."""
    screen = bash_inside("ls /dev/pts; tty >/dev/null 2>&1 && echo it has a name; script -qec tty /dev/null")
    assert ended(screen) == 0
    assert written(screen).splitlines() == [b"ptmx", b"/dev/pts/0"]


def test_nothing_is_put_on_the_screen_but_what_was_written() -> None:
    screen = bash_inside("printf 'a\\033[1mb\\033[0m\\n\\377\\n'")
    assert ended(screen) == 0
    assert written(screen) == b"a\x1b[1mb\x1b[0m\r\n\xff\r\n"


def test_nothing_at_all_is_on_the_screen_where_nothing_was_written() -> None:
    screen = bash_inside("true")
    assert ended(screen) == 0
    assert written(screen) == b""


def test_the_terminal_keeps_its_type_size_and_new_sizes() -> None:
    screen = bash_inside(
        "echo $TERM; stty size; trap 'stty size; exit' WINCH; echo ready; while :; do sleep 0.05; done",
        size=(33, 111),
    )
    screen.expect_exact(b"xterm-256color\r\n33 111\r\nready\r\n")
    screen.setwinsize(44, 122)
    screen.expect_exact(b"44 122")
    assert ended(screen) == 0


def test_control_c_is_an_interrupt_inside() -> None:
    screen = bash_inside("trap 'echo interrupted; exit 7' INT; echo ready; while :; do sleep 0.05; done")
    screen.expect_exact(b"ready")
    screen.send(b"\x03")
    screen.expect_exact(b"interrupted")
    assert ended(screen) == 7


def test_control_c_ends_what_does_not_care_for_it() -> None:
    screen = bash_inside("echo ready; exec sleep 1000")
    screen.expect_exact(b"ready")
    screen.send(b"\x03")
    assert ended(screen) == 128 + signal.SIGINT


def test_control_backslash_is_a_quit_inside() -> None:
    screen = bash_inside("trap 'echo quit; exit 8' QUIT; echo ready; while :; do sleep 0.05; done")
    screen.expect_exact(b"ready")
    screen.send(b"\x1c")
    assert ended(screen) == 8


def test_control_d_is_the_end_of_input() -> None:
    screen = bash_inside("echo ready; cat; echo end")
    screen.expect_exact(b"ready")
    screen.send(b"\x04")
    screen.expect_exact(b"end")
    assert ended(screen) == 0


def test_control_z_does_not_freeze_the_session() -> None:
    screen = bash_inside("echo ready; cat; echo end")
    screen.expect_exact(b"ready")
    screen.send(b"\x1a")
    screen.send(b"still here\r")
    screen.expect_exact(b"still here\r\nstill here\r\n")
    screen.send(b"\x04")
    screen.expect_exact(b"end")
    assert ended(screen) == 0


def test_raw_mode_gives_every_key_to_the_program_and_is_gone_afterwards() -> None:
    screen = shell()
    screen.sendline(b"pi-probe exec bash -c 'stty raw -echo; echo ready; head -c 4 | od -An -tx1'")
    screen.expect_exact(b"ready\n")
    screen.send(b"\x03\x1a\x04\x00")
    screen.expect_exact(b" 03 1a 04 00")
    screen.expect(PROMPT)
    assert_sane(screen)
    leave(screen)


def test_an_interactive_shell_gets_its_terminal_back() -> None:
    screen = shell()
    for script, status in (("exit 3", 3), ("kill -9 $$", 137), ("stty raw -echo", 0)):
        screen.sendline(f"pi-probe exec bash -c '{script}'; echo status=$?".encode())
        screen.expect_exact(f"status={status}\r\n".encode())
        screen.expect(PROMPT)
        assert_sane(screen)
    leave(screen)


def test_control_c_leaves_the_callers_shell_alone() -> None:
    screen = shell()
    screen.sendline(b"pi-probe exec sh -c 'echo inside; exec sleep 1000'")
    screen.expect_exact(b"\ninside")
    screen.send(b"\x03")
    screen.expect(PROMPT)
    screen.sendline(b"echo status=$?")
    screen.expect_exact(b"\nstatus=130")
    screen.expect(PROMPT)
    assert_sane(screen)
    leave(screen)


def test_a_bash_inside_has_job_control_of_its_own() -> None:
    screen = terminal("alice", "pi-probe", "exec", "env", "PS1=$ ", "bash", "--norc", "-i")
    screen.expect(PROMPT)
    assert b"no job control" not in screen.before
    assert b"cannot set terminal process group" not in screen.before
    screen.sendline(b"sh -c 'echo u''p; exec sleep 1000'")
    screen.expect_exact(b"up\r\n")  # the command's echo contains u''p
    screen.send(b"\x03")
    screen.expect(PROMPT)
    screen.sendline(b"exit 4")
    assert ended(screen) == 4


# -- the real Pi


def real_pi() -> pexpect.spawn:
    """A shell in which Pi's own interface has started."""
    screen = shell()
    screen.sendline(b"pi; echo status=$?")
    screen.expect_exact(b"scripted-1")
    return screen


def assert_left(screen: pexpect.spawn, status: int) -> None:
    screen.expect_exact(f"status={status}\r\n".encode())
    # Pi has switched off every mode that it switched on.
    for mode in (b"25", b"2004", b"1049", b"1000", b"1006"):
        switches = re.findall(rb"\x1b\[\?" + mode + rb"([hl])", screen.before)
        assert not switches or switches[-1] == (b"h" if mode == b"25" else b"l"), mode
    screen.expect(PROMPT)
    assert_sane(screen)
    leave(screen)


@pytest.mark.parametrize("keys", [[b"\x03\x03"], [b"\x04"], [b"/quit", b"\r"]])
def test_the_real_pi_starts_and_quits_on_its_keys_and_leaves_the_terminal_sane(keys: list[bytes]) -> None:
    screen = real_pi()
    for key in keys:
        screen.send(key)
        if key == b"/quit":
            screen.expect_exact(b"quit")
    assert_left(screen, 0)


def test_a_conversation_in_the_real_pis_own_interface() -> None:
    screen = real_pi()
    screen.send(b"hello there")
    screen.expect_exact(b"hello there")
    screen.send(b"\r")
    screen.expect(rb"echo: *hello there")
    screen.send(b"run: echo by-the-agent >made")
    screen.expect_exact(b"by-the-agent")
    screen.send(b"\r")
    screen.expect_exact(b"done:")
    assert (demo("alice") / "made").read_text() == "by-the-agent\n"
    screen.send(b"\x04")
    assert_left(screen, 0)
    assert list(isolated("alice", "sessions").rglob("*.jsonl"))


def test_the_title_and_background_of_the_terminal_are_pis_to_set_alone() -> None:
    screen = bash_inside("echo said")
    assert ended(screen) == 0
    assert b"\x1b" not in written(screen)


# -- a terminal that goes away


@pytest.mark.parametrize(
    ("script", "within"),
    [
        ("echo ready; exec sleep 1000", CLEAN_WITHIN),
        # It may take all the time that it has to end by itself.
        ("trap '' HUP TERM; echo ready; while :; do sleep 0.1; done", 2 * CLEAN_WITHIN),
    ],
)
def test_a_terminal_that_hangs_up_ends_all(script: str, within: float) -> None:
    screen = bash_inside(script)
    screen.expect_exact(b"ready")
    hang_up(screen)
    assert_clean(within)


def test_the_real_pi_ends_with_its_terminal() -> None:
    screen = real_pi()
    hang_up(screen)
    assert_clean()


def test_two_terminals_do_not_meet() -> None:
    first = bash_inside("echo ready; read line; echo got $line")
    second = terminal("bob", "pi-probe", "exec", "bash", "-c", "echo ready; read line; echo got $line")
    first.expect_exact(b"ready")
    second.expect_exact(b"ready")
    first.sendline(b"one")
    second.sendline(b"two")
    first.expect_exact(b"got one")
    second.expect_exact(b"got two")
    assert (ended(first), ended(second)) == (0, 0)
