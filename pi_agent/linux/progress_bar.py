"""A progress bar: a line on standard error that is redrawn in place and erased at the end.

Nothing is shown in a pipe, or for work that takes less than a second.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final

from pi_agent.messages import progress_texts

_AFTER: Final = 1.0  # seconds
_EVERY: Final = 0.1  # seconds
_WIDTH: Final = 24  # of the bar, in columns


class _Line:
    def __init__(self, what: str, total: int) -> None:
        self._what = what
        self._total = total
        self._files = self._bytes = 0
        self._due = time.monotonic() + _AFTER
        self._drawn = False

    def step(self, files: int, size: int) -> None:
        self._files += files
        self._bytes += size
        now = time.monotonic()
        if now >= self._due:
            self._due = now + _EVERY
            self._drawn = True
            _write("\r" + drawn(self._what, self._files, self._total, self._bytes, _columns()) + "\x1b[K")

    def wipe(self) -> None:
        if self._drawn:
            _write("\r\x1b[K")


def drawn(what: str, files: int, total: int, size: int, columns: int) -> str:
    """The line, cut to the terminal's columns. what: the work; files: how many of total are done; size: bytes done."""
    done = _WIDTH * files // max(total, 1)
    bar = "#" * done + "-" * (_WIDTH - done)
    return progress_texts.line(what, bar, files, total, size)[: max(columns - 1, 0)]


@contextmanager
def shown(what: str, total: int) -> Iterator[Callable[[int, int], None]]:
    """Show a bar while entered. Yields a function that takes the files and bytes done since its last call.

    what: the work, from progress_texts. total: the number of files.
    """
    if not os.isatty(2):
        yield lambda files, size: None
        return
    line = _Line(what, total)
    try:
        yield line.step
    finally:
        line.wipe()


def _columns() -> int:
    try:
        return os.get_terminal_size(2).columns or 80
    except OSError:
        return 80


def _write(text: str) -> None:
    with suppress(OSError):  # a lost terminal does not stop the work
        os.write(2, text.encode())
