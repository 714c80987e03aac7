"""Call the runner through sudo itself, as a host user may, and check what must hold for every such call."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from support.commands import Result, Word, as_user
from support.installed import FACTS

RUNNER = FACTS["variants"]["pi-probe"]["runner"]
SUDO = FACTS["sudo"]
REFUSALS = (65, 69, 77, 78)
# Becomes its arguments after a case's prelude. Python ignores SIGPIPE, a login shell does not.
_BECOME = """
import ctypes, os, resource, signal, sys
signal.signal(signal.SIGPIPE, signal.SIG_DFL)
{prelude}
os.execv(sys.argv[1], sys.argv[1:])
"""
# Every byte that a path component can have, in combinations that quoting and printing get wrong.
NAMES = [
    b"two words",
    b" ",
    b"line\nbreak",
    b'"quoted"',
    b"it's",
    b"a:b:c",
    b"%h%%n%i",
    b"back\\slash\\x41",
    b"$HOME ${X} `id` $(id)",
    b"\x1b]0;owned\x07\x1b[31m",
    b"tab\tdel\x7f",
    b"\xff\xfe not text \xe9",
    "bidi \u202e \u2066 ☃".encode(),
    b"--property=User=root",
    b"a" * 255,
]


def call(
    prelude: str, *arguments: Word, sudo: Sequence[str] = (), cwd: Path | str | None = None, timeout: float = 60
) -> Result:
    """As alice, run the Python text prelude, then become sudo with the runner."""
    become = [sys.executable, "-I", "-c", _BECOME.format(prelude=prelude)]
    return as_user("alice", *become, SUDO, "-n", *sudo, "--", RUNNER, *arguments, cwd=cwd, timeout=timeout)


def script(prelude: str, text: str, *arguments: Word, cwd: Path | str | None = None) -> Result:
    """As `call`, with a shell script that runs inside."""
    return call(prelude, "exec", "sh", "-c", text, "script", *arguments, cwd=cwd)


def told(result: Result, *words: str) -> None:
    """Check that a sentence of ours, with these words, refused the call."""
    assert result.status in REFUSALS, (result.status, result.complaint)
    assert result.stdout == b""
    # The shell in front of the interpreter may complain about the directory first.
    own = [line for line in result.stderr.splitlines() if not line.startswith(b"sh: 0: getcwd()")]
    assert own[0].startswith((b"pi: ", b"pi-probe: ")), result.complaint
    harmless(result)
    for word in words:
        assert word in result.complaint


def harmless(result: Result) -> None:
    """Check that the output is no traceback, no bug of ours, and nothing that a terminal would obey."""
    assert "Traceback" not in result.complaint
    assert "a bug in pi-agent" not in result.complaint
    assert not [byte for byte in result.stderr if (byte < 0x20 and byte != 0x0A) or byte == 0x7F], result.stderr
