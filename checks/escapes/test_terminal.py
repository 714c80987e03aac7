"""Attempts on the user's terminal: simulated keys, and sequences that the terminal would obey."""

from __future__ import annotations

import re
from typing import Final

import pexpect
import pytest
from support.commands import inside
from support.installed import demo, home
from support.terminals import PROMPT, ended, leave, shell, terminal, written

from escapes.case import attempt

_TYPE: Final = """
import fcntl, sys, termios
for number in range(3):
    for byte in b'touch ~/injected\\n':
        try: fcntl.ioctl(number, {request}, {argument})
        except OSError as error: print(error.errno, file=sys.stderr)
print('tried')
"""
WAYS: Final = {
    # tty_ioctl(4), ioctl_console(2): push a byte; paste the selection.
    "TIOCSTI": _TYPE.format(request="termios.TIOCSTI", argument="bytes([byte])"),
    "TIOCLINUX": _TYPE.format(request="termios.TIOCLINUX", argument="bytes([3, 0])"),
}


def _write(name: str) -> None:
    (home("alice") / "type.py").write_text(WAYS[name])
    (home("alice") / "type.py").chmod(0o644)
    (demo("alice") / "type.py").write_text(WAYS[name])


def _typed(screen: pexpect.spawn, command: str) -> bool:
    """Whether the user's shell receives a command that she did not type."""
    screen.sendline(command.encode())
    screen.expect_exact(b"\ntried")
    screen.expect(PROMPT)
    screen.sendline(b"echo waited")
    screen.expect_exact(b"\nwaited")
    screen.expect(PROMPT)
    leave(screen)
    return (home("alice") / "injected").exists()


@pytest.mark.parametrize("way", WAYS)
@attempt("terminal", "type at the user's shell")
def test_nothing_is_typed_for_the_user(way: str, afresh: None) -> None:
    _write(way)
    assert not _typed(shell(), "pi-probe exec python3 type.py")


def test_outside_a_program_does_type_for_its_user_where_the_kernel_lets_it(afresh: None) -> None:
    _write("TIOCSTI")
    # Linux 6.2 and later can forbid it for everybody (dev.tty.legacy_tiocsti).
    with open("/proc/sys/dev/tty/legacy_tiocsti", encoding="ascii") as file:
        allowed = file.read().strip() == "1"
    assert _typed(shell(), "python3 ~/type.py") == allowed


@attempt("terminal", "open the user's terminal, a console or another session's terminal by name")
def test_no_terminal_can_be_opened_by_name() -> None:
    screen = terminal(
        "alice",
        "pi-probe",
        "exec",
        "bash",
        "-c",
        "for t in /dev/pts/[0-9]* /dev/tty[0-9]* /dev/console; do"
        " test ! -e $t || echo found $t; done; echo x >/dev/tty",
    )
    assert ended(screen) == 0
    assert written(screen).splitlines() == [b"x"]


_ESCAPE: Final = "\x1b]0;owned\x07\x1b[31m"


@pytest.mark.parametrize("character", ["\x1b", "\x07", "\x9b", "\r", "\n", "\u202e"])
@attempt("terminal", "put a control character into the notice after the session, by a name in the project")
def test_names_in_the_notice_are_harmless(character: str, afresh: None) -> None:
    name = f"a{character}[31mz"
    make = (
        f"mkdir -p $'{name.encode('unicode_escape').decode()}'/.git/hooks; cd a*; echo 'ref: x' >.git/HEAD;"
        " mkdir .git/objects .git/refs; echo x >.git/hooks/post-commit; chmod +x .git/hooks/post-commit"
    )
    screen = terminal("alice", "pi-probe", "exec", "bash", "-c", make)
    screen.expect_exact(b"[disarm/keep]")
    said = written(screen)
    line = next(line for line in said.split(b"\n") if b"post-commit" in line)
    assert re.fullmatch(rb"[\x20-\x7e]*\r?", line), line
    assert b"\x1b" not in said
    screen.sendline(b"disarm")
    assert ended(screen) == 0
    assert re.search(rb"post-commit\.disarmed-[0-9]+\r\n", screen.before)
    assert b"\x1b" not in screen.before and "\u202e".encode() not in screen.before


@attempt("terminal", "put escape sequences into a message, by the name of a directory or a file of the configuration")
def test_names_in_messages_are_harmless(afresh: None) -> None:
    place = home("alice") / f"out{_ESCAPE}"
    make = 'mkdir "$0"; cd "$0"; pi-probe; mkfifo ~/.pi/agent/"pipe$1"; cd ~/p/demo; pi-probe exec true'
    screen = terminal("alice", "sh", "-c", make, str(place), _ESCAPE, cwd=home("alice"))
    ended(screen)
    said = written(screen)
    assert b"out\\x1b" in said
    assert b"pipe\\x1b" in said
    assert b"\x1b" not in said
    assert b"\x07" not in said


def test_what_the_agent_prints_itself_is_the_agents(afresh: None) -> None:
    assert inside("printf '\\033[1m'").ok().stdout == b"\x1b[1m"
