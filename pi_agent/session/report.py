"""What launch.bash reports from inside the sandbox: that it waits, that Pi is about to run, and how that ended."""

from __future__ import annotations

import os
import select

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

_MOST: Final = 1 << 16  # bytes: the capacity of a pipe (pipe(7))
_READY: Final = b"ready\n"
_ENDED: Final = b"ended "


class Report:
    """The report, read as it arrives. A context manager: a pipe keeps its content only while one end is open.

    The agent can write to the pipe too, just as it can end with any status. The report proves no more than that.
    """

    def __init__(self, path: str) -> None:
        self._pipe = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        self._text = b""

    def __enter__(self) -> Report:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._pipe)

    def await_ready(self, child: int) -> bool:
        """Wait until launch.bash waits to be let in, and return True; False if the child process has ended instead."""
        self._await(child)
        self._read()
        return self._text == _READY

    def await_start(self, child: int) -> bool:
        """Wait until Pi is about to run or the child process has ended, and return `started`."""
        self._await(child)
        return self.started

    def _await(self, child: int) -> None:
        """Wait until there is more to read, or the child process has ended."""
        ended = os.pidfd_open(child)
        try:
            events = select.poll()
            events.register(self._pipe, select.POLLIN)
            events.register(ended, select.POLLIN)
            events.poll()
        finally:
            os.close(ended)

    @property
    def started(self) -> bool:
        """Whether Pi was about to run, or launch.bash has ended instead."""
        self._read()
        return self._text.removeprefix(_READY) != b""

    @property
    def ended(self) -> int | None:
        """The exit status, 0 to 255; None if no end was reported."""
        self._read()
        told = [line[len(_ENDED) :] for line in self._text.split(b"\n") if line.startswith(_ENDED)]
        last = told[-1] if told else b""
        return int(last) if last.isdigit() and len(last) <= 3 and int(last) <= 255 else None

    def _read(self) -> None:
        try:
            # If somebody writes without end, only the last bytes count.
            self._text = (self._text + os.read(self._pipe, _MOST))[-_MOST:]
        except BlockingIOError:
            pass
