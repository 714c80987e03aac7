"""Sessions that keep running while a check examines them."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from support.commands import CLEAN, Result, Word, exit_status, login, on_machine
from support.units import settle, shown, units
from support.waiting import CLEAN_WITHIN, PATIENCE


@dataclass(frozen=True, slots=True)
class Session:
    """A user's command that keeps running. client: what the user started; unit: the session's unit."""

    client: subprocess.Popen[bytes]
    unit: str

    def settled(self) -> Session:
        """This session, once systemd has finished starting it.

        A stop in the first moments ends the unit in other ways than later. That is tested separately.
        """
        settle(self.unit)
        return self

    def main_pid(self) -> int:
        """The first process inside."""
        return int(shown(self.unit, "MainPID"))

    def wait(self, seconds: float = PATIENCE) -> Result:
        """Close its standard input, and let it end."""
        output, complaint = self.client.communicate(timeout=seconds)
        return Result(exit_status(self.client.returncode), output, complaint)

    def say(self, text: bytes) -> None:
        """Write a line to its standard input."""
        assert self.client.stdin is not None
        self.client.stdin.write(text + b"\n")
        self.client.stdin.flush()

    def hear(self) -> bytes:
        """Read a line of its standard output."""
        assert self.client.stdout is not None
        return self.client.stdout.readline().rstrip(b"\n")


@contextmanager
def session(user: str, *argv: Word, cwd: Path | str | None = None) -> Iterator[Session]:
    """Start argv, which must print a line once it is inside. Yields the running session, and ends it afterwards."""
    before = set(units(user))
    client = subprocess.Popen(
        login(user, argv, cwd),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=CLEAN,
        cwd="/",
        start_new_session=True,
    )
    try:
        assert client.stdout is not None
        first = client.stdout.readline()
        if not first:
            output, complaint = client.communicate(timeout=PATIENCE)
            raise AssertionError(f"the session did not begin: {output!r} {complaint!r}")
        [unit] = set(units(user)) - before
        yield Session(client, unit)
    finally:
        for stream in (client.stdin, client.stdout, client.stderr):
            if stream is not None and not stream.closed:
                try:
                    stream.close()
                except BrokenPipeError:
                    pass
        try:
            client.wait(CLEAN_WITHIN)
        except subprocess.TimeoutExpired:
            for name in set(units(user)) - before:
                on_machine("systemctl", "stop", name)
            client.wait(PATIENCE)


# For a session that only has to exist: print a line, then wait for the end of its input.
IDLE: Final = ("exec", "bash", "-c", "echo ready; cat >/dev/null")
