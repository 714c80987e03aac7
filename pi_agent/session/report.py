"""What launch.bash reports from inside the sandbox: that it waits, that Pi is about to run, and how that ended."""

from __future__ import annotations

import os
import select

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Final

_MOST: Final = 1 << 16  # bytes: the capacity of a pipe (pipe(7))
_READY: Final = b"ready\n"
# What launch.bash has said while Pi runs.
QUIET: Final = _READY + b"started\n"
_ENDED: Final = b"ended "


class Report:
    """The report, read as it arrives.

    The agent can write to the pipe too, just as it can end with any status. The report proves no more than that.
    """

    def __init__(self, pipe: int, heard: bytes = b"", writer: int | None = None) -> None:
        """pipe: its reading end, open. heard: what was read before. writer: see `opened`."""
        self.pipe = pipe
        self._text = heard
        self._writer = writer
        self._over = False

    def close(self) -> None:
        """Close the pipe."""
        self._let_go()
        os.close(self.pipe)

    def _let_go(self) -> None:
        if self._writer is not None:
            os.close(self._writer)
            self._writer = None

    def await_ready(self, client: int) -> bool:
        """Wait until launch.bash waits to be let in, and return True; False if the client has ended instead.

        client: systemd-run (pidfd_open(2)).
        """
        self.wait(client)
        self._read()
        return self._text == _READY

    def await_start(self, client: int) -> None:
        """Wait until Pi is about to run, or the client has ended. From then on, the pipe ends with launch.bash."""
        self.wait(client)
        if self.started:
            self._let_go()

    def wait(self, client: int, seconds: float | None = None, queues: Iterable[int] = ()) -> bool:
        """Wait until there is more to read, the pipe or the client has ended, or a queue has an event.

        seconds: at most; None without a limit. Returns whether something happened.
        """
        events = select.poll()
        events.register(self.pipe, select.POLLIN)
        events.register(client, select.POLLIN)
        for queue in queues:
            events.register(queue, select.POLLIN)
        return bool(events.poll(None if seconds is None else seconds * 1000))

    @property
    def heard(self) -> bytes:
        """What was read so far."""
        self._read()
        return self._text

    @property
    def is_quiet(self) -> bool:
        """Whether launch.bash alone has said something so far, and Pi runs."""
        return self.heard == QUIET

    @property
    def over(self) -> bool:
        """Whether there is nothing to wait for any more: an end was reported, or launch.bash has ended without."""
        return self.ended is not None or self._over

    @property
    def started(self) -> bool:
        """Whether Pi was about to run, or launch.bash has ended instead."""
        return self.heard.removeprefix(_READY) != b""

    @property
    def ended(self) -> int | None:
        """The exit status, 0 to 255; None if no end was reported."""
        told = [line[len(_ENDED) :] for line in self.heard.split(b"\n") if line.startswith(_ENDED)]
        last = told[-1] if told else b""
        return int(last) if last.isdigit() and len(last) <= 3 and int(last) <= 255 else None

    def _read(self) -> None:
        try:
            new = os.read(self.pipe, _MOST)
        except BlockingIOError:
            return
        self._over = not new and self._writer is None
        # If somebody writes without end, only the last bytes count.
        self._text = (self._text + new)[-_MOST:]


def opened(path: str) -> Report:
    """The report on the named pipe. Raises OSError.

    A pipe has ended, and has lost its content, while nobody has it open to write: until launch.bash has, we do.
    """
    pipe = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        return Report(pipe, writer=os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC))
    except OSError:
        os.close(pipe)
        raise
