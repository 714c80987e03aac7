"""The only place that starts processes, and the errors that it raises.

Takes argv lists, never shell strings. Standard input is empty unless it is a file: nothing here asks a question. The
host's environment is passed on, because package managers take proxies and certificates from it. Inside the guest,
`checks/guest/enter` builds a new environment.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

TAIL_LINES = 30


class CheckError(Exception):
    """An error that the caller can act on: one line on what is wrong, one on what to do."""

    def __init__(self, problem: str, remedy: str = "") -> None:
        super().__init__(problem)
        self.problem = problem
        self.remedy = remedy


@dataclass(frozen=True, slots=True)
class Result:
    """How a process ended: its exit status (negative: the signal), and its output if captured."""

    status: int
    output: str


def run(
    argv: Sequence[str | Path],
    *,
    accept: Sequence[int] = (0,),
    capture: bool = False,
    log: Path | None = None,
    stdin: Path | None = None,
    stdout: Path | None = None,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> Result:
    """Run `argv` to its end, and return how it ended.

    Output goes to the terminal. With `capture`, standard output is returned. With `log`, both streams go to that file,
    and its last lines are shown on failure. `stdin` is a file to read, `stdout` one to write anew. `env` adds to the
    environment. Raises CheckError for a status that is not in `accept`, with the command ready to paste.
    """
    words = [str(word) for word in argv]
    with (
        open(log or os.devnull, "ab") as sink,
        open(stdin or os.devnull, "rb") as source,
        open(stdout or os.devnull, "wb") as target,
    ):
        try:
            done = subprocess.run(
                words,
                check=False,
                stdin=source,
                stdout=subprocess.PIPE if capture else target if stdout else sink if log else None,
                stderr=sink if log else None,
                cwd=cwd,
                env=os.environ | (env or {}),
            )
        except OSError as error:
            raise CheckError(f"cannot start {words[0]}: {error.strerror}", replay(words, cwd)) from error
    if done.returncode not in accept:
        sys.stderr.write(tail(log) if log else "")
        raise CheckError(f"{words[0]} ended with status {done.returncode}", replay(words, cwd))
    return Result(done.returncode, done.stdout.decode(errors="surrogateescape") if capture else "")


class Stream:
    """A process whose standard output is read line by line, while it runs.

    It can be stopped: then its standard input ends, and it decides what it still does. An interruption of this process
    does not reach it otherwise. Raises CheckError if it cannot be started.
    """

    def __init__(self, argv: Sequence[str | Path]) -> None:
        self._words = [str(word) for word in argv]
        pipe = subprocess.PIPE
        try:
            self._child = subprocess.Popen(
                self._words, stdin=pipe, stdout=pipe, text=True, errors="surrogateescape", process_group=0
            )
        except OSError as error:
            raise CheckError(f"cannot start {self._words[0]}: {error.strerror}", replay(self._words, None)) from error
        self.stopped = False

    def stop(self) -> None:
        """End its standard input. Safe in a signal handler."""
        self.stopped = True
        if self._child.stdin is not None:
            self._child.stdin.close()

    def __iter__(self) -> Iterator[str]:
        """Yield each line, and wait for the end. Raises CheckError for a status other than 0, unless it was stopped."""
        yield from self._child.stdout or ()
        status = self._child.wait()
        if status != 0 and not self.stopped:
            raise CheckError(f"{self._words[0]} ended with status {status}", replay(self._words, None))


def detach(argv: Sequence[str | Path], log: Path, env: Mapping[str, str]) -> int:
    """Start `argv` in a session of its own, with output to `log`, and return its process id."""
    with open(log, "wb") as sink:
        return subprocess.Popen(
            [str(word) for word in argv],
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=sink,
            env={**os.environ, **env},
            start_new_session=True,
        ).pid


def become(argv: Sequence[str]) -> NoReturn:
    """Replace this process with `argv`, on the same terminal and standard streams."""
    # Python ignores these signals, and the command would inherit that.
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    os.execvp(argv[0], list(argv))


def replay(words: Sequence[str], cwd: Path | None) -> str:
    """The command as one would type it."""
    place = f"cd {shlex.quote(str(cwd))} && " if cwd else ""
    return f"to see it again: {place}{shlex.join(words)}"


def tail(log: Path, lines: int = TAIL_LINES) -> str:
    """The last lines of a log."""
    text = log.read_text(errors="replace").splitlines(keepends=True)
    return "".join(text[-lines:])


def say(line: str) -> None:
    """Tell the user what takes time now."""
    print(line, file=sys.stderr, flush=True)
