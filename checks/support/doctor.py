"""`pi --sandbox-doctor` asked, and its lines understood."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from support.commands import Result, as_user, on_machine

_LINE: Final = re.compile(r"(ok|warn|FAIL) +(sudo|PATH|runner|caller|shown path|env file|\w+) +(.*)")


def asked(command: str = "pi", user: str = "alice", cwd: Path | str = "/") -> Result:
    """The command's output. It must hold nothing unusual for a terminal or on standard error."""
    told = as_user(user, command, "--sandbox-doctor", cwd=cwd)
    assert told.stderr == b""
    assert all(line.isprintable() for line in told.stdout.decode().splitlines())
    return told


def grades(told: Result) -> dict[str, set[str]]:
    """The grades of all lines that name the same thing."""
    found: dict[str, set[str]] = {}
    for line in told.text.splitlines():
        if not line.startswith(" "):
            match = _LINE.fullmatch(line)
            assert match is not None, line
            found.setdefault(match[2], set()).add(match[1])
    return found


def well(told: Result) -> None:
    """Check that nothing fails."""
    assert "FAIL" not in told.text, told.text
    told.ok()


def failing(told: Result, *names: str, remedy: str, status: int = 78) -> None:
    """Check that exactly these things fail, and that the remedy stands below."""
    found = grades(told)
    assert {name for name, its in found.items() if "FAIL" in its} == set(names), told.text
    lines = told.text.splitlines()
    for number, line in enumerate(lines):
        if line.startswith("FAIL"):
            assert lines[number + 1].startswith("     "), told.text
    assert remedy in " ".join(told.text.split()), told.text
    assert told.status == status


@contextmanager
def broken(breaks: str, mends: str) -> Iterator[None]:
    """Run a script as root, and another one afterwards in any case."""
    on_machine("sh", "-euc", breaks).ok()
    try:
        yield
    finally:
        on_machine("sh", "-euc", mends).ok()
