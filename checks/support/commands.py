"""Run commands to their end: as root, as a user who logs in, or in the sandbox."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from support.installed import Json, demo
from support.waiting import PATIENCE

Word = str | bytes | os.PathLike[str]
# The user's login shell runs this text and nothing of ours, so arguments stay arguments.
_IN_DIRECTORY: Final = 'cd -- "$1" && shift && exec "$@"'
# The environment in which checks start.
CLEAN: Final = {
    "PATH": "/run/wrappers/bin:/run/current-system/sw/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LANG": "C.UTF-8",
}


@dataclass(frozen=True, slots=True)
class Result:
    """A command that has ended: its exit status (128 + n if signal n ended it), standard output and error."""

    status: int
    stdout: bytes
    stderr: bytes

    @property
    def text(self) -> str:
        """Standard output without leading and trailing white space."""
        return self.stdout.decode("utf-8", "backslashreplace").strip()

    @property
    def complaint(self) -> str:
        """Standard error, with line breaks as spaces, so that sentences can be found."""
        return " ".join(self.stderr.decode("utf-8", "backslashreplace").split())

    def ok(self) -> Result:
        """This result. Fails unless the status is 0."""
        assert self.status == 0, f"exit status {self.status}\n{self.text}\n{self.complaint}"
        return self


def exit_status(code: int) -> int:
    """The status of a process as a shell reports it: 128 + n if signal n ended it."""
    return code if code >= 0 else 128 - code


def login(user: str, argv: Sequence[Word], cwd: Path | str | None = None) -> list[Word]:
    """The command that logs user in and becomes argv in the directory cwd (default: the user's project)."""
    directory = os.fspath(cwd if cwd is not None else demo(user))
    return ["runuser", "--login", "--session-command", _IN_DIRECTORY, "--", user, "sh", directory, *argv]


def as_user(
    user: str,
    *argv: Word,
    cwd: Path | str | None = None,
    stdin: bytes = b"",
    timeout: float = PATIENCE,
) -> Result:
    """Log user in, and run argv to its end, without a terminal."""
    return on_machine(*login(user, argv, cwd), stdin=stdin, timeout=timeout)


def on_machine(*argv: Word, stdin: bytes = b"", timeout: float = PATIENCE, env: Mapping[str, str] = CLEAN) -> Result:
    """Run argv to its end as root."""
    done = subprocess.run(argv, input=stdin, capture_output=True, check=False, timeout=timeout, env=env, cwd="/")
    return Result(exit_status(done.returncode), done.stdout, done.stderr)


def inside(
    script: str,
    *arguments: Word,
    user: str = "alice",
    command: str = "pi-probe",
    cwd: Path | str | None = None,
    stdin: bytes = b"",
    timeout: float = PATIENCE,
) -> Result:
    """Run a bash script inside the sandbox of a variant that runs the probe."""
    words = (command, "exec", "bash", "-c", script, "script", *arguments)
    return as_user(user, *words, cwd=cwd, stdin=stdin, timeout=timeout)


def probe(
    *arguments: Word, user: str = "alice", command: str = "pi-probe", cwd: Path | str | None = None, stdin: bytes = b""
) -> Json:
    """The report of a program inside the sandbox of a variant. See checks/guest/probe.py."""
    value: Json = json.loads(as_user(user, command, *arguments, cwd=cwd, stdin=stdin).ok().stdout)
    return value


def pi(prompt: str, *arguments: Word, user: str = "alice", cwd: Path | str | None = None) -> Result:
    """One turn of the real Pi. `run: COMMAND` makes the scripted model call the bash tool."""
    return as_user(user, "pi", *arguments, "-p", prompt, cwd=cwd)


def asked_of_the_model() -> str:
    """The last request to the scripted model, and its key."""
    on_machine("journalctl", "--sync").ok()
    return on_machine("journalctl", "--unit=model-server", "--lines=20", "--output=cat").ok().text
