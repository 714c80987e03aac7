"""A command on a terminal of its own, byte for byte. To test the picture on the screen, see `tmux`."""

from __future__ import annotations

import os
import re
import termios
from pathlib import Path
from typing import Final

import pexpect

from support.commands import CLEAN, Word, login
from support.processes import Process
from support.waiting import PATIENCE

# The others are told only if the leader of the terminal's session dies with the terminal; runuser blocks that signal.
_LEADER: Final = '"$@"; exit $?'


def terminal(
    user: str,
    *argv: Word,
    cwd: Path | str | None = None,
    size: tuple[int, int] = (24, 80),
    term: str = "xterm-256color",
) -> pexpect.spawn:
    """Log user in on a new terminal, and run argv there. size: rows and columns."""
    command = login(user, ("env", f"TERM={term}", *argv), cwd)
    words = [os.fsdecode(word) for word in ("-c", _LEADER, "leader", *command)]
    # At a login, pam_systemd(8) of version 258 and later writes to every terminal that is not dumb (OSC 3008).
    return pexpect.spawn("sh", words, env={**CLEAN, "TERM": "dumb"}, dimensions=size, timeout=PATIENCE, cwd="/")


def ended(screen: pexpect.spawn) -> int:
    """Wait until the command on a terminal has ended, and return its exit status."""
    screen.expect(pexpect.EOF)
    screen.close()
    assert screen.exitstatus is not None, f"signal {screen.signalstatus} ended the terminal's leader"
    return int(screen.exitstatus)


_RESET: Final = re.compile(rb"\x1b\\\x1b\[\?2026l[^\n]{0,200}?\x1b\(B\x1b\[m")


def written(screen: pexpect.spawn) -> bytes:
    """What was written on a terminal, without the reset of modes that every session there ends with."""
    content, resets = _RESET.subn(b"", screen.before)
    assert resets == 1, screen.before
    return content


def hang_up(screen: pexpect.spawn) -> None:
    """Take the terminal away, like a closed window or a lost connection."""
    os.close(screen.child_fd)
    os.waitpid(screen.pid, 0)
    screen.closed = screen.terminated = True


PROMPT = rb"\$ $"


def shell() -> pexpect.spawn:
    """Alice's interactive shell, with job control."""
    screen = terminal("alice", "env", "PS1=$ ", "PROMPT_COMMAND=", "HISTFILE=", "bash", "--norc", "-i")
    screen.expect(PROMPT)
    screen.sendline(b"bind 'set enable-bracketed-paste off'")
    screen.expect(PROMPT)
    return screen


def leave(screen: pexpect.spawn) -> None:
    screen.sendline(b"exit 0")
    assert ended(screen) == 0


def assert_sane(screen: pexpect.spawn) -> None:
    screen.sendline(
        b"stty -a | grep -o -w -e '-\\?icanon' -e '-\\?echo' -e '-\\?isig' -e '-\\?icrnl' -e '-\\?opost' | xargs"
    )
    screen.expect(rb"\r\n((?:-?\w+ ){4}-?\w+)\r\n")
    assert sorted(screen.match.group(1).split()) == [b"echo", b"icanon", b"icrnl", b"isig", b"opost"]
    screen.expect(PROMPT)


def has_signals(process: Process) -> bool:
    """Whether Ctrl-C on the terminal that is its input is a signal."""
    with open(f"/proc/{process.pid}/fd/0", "rb", opener=lambda path, flags: os.open(path, flags | os.O_NOCTTY)) as file:
        return bool(termios.tcgetattr(file)[3] & termios.ISIG)
