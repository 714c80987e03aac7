"""The speed at which a command's output arrives: bytes per second from the first block to the last."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Sequence
from typing import Final

from support import terminals
from support.commands import login
from support.waiting import PATIENCE

from benchmark.hyperfine import CommandError
from benchmark.prepared import Desk

_BLOCK: Final = 1 << 16  # bytes of a read at most


def rate(desk: Desk, words: Sequence[str], sign: bytes, size: int, *, terminal: bool) -> float:
    """Run a command of the user's in the project, at a terminal or with a pipe for its output, and return the bytes a
    second that arrive.

    sign: what the first block that counts has in it. size: how many bytes are written. Raises CommandError where fewer
    arrive, and for a command that fails.
    """
    if terminal:
        screen = terminals.terminal(desk.user, *words)
        seconds, received, last = _arrival(screen.child_fd, sign)
        status = terminals.ended(screen)
    else:
        end, theirs = os.pipe()
        client = subprocess.Popen(login(desk.user, words), stdin=subprocess.DEVNULL, stdout=theirs, cwd="/")
        os.close(theirs)
        seconds, received, last = _arrival(end, sign)
        os.close(end)
        status = client.wait(PATIENCE)
    if status != 0 or received + _BLOCK < size or seconds == 0:
        raise CommandError(words, f"status {status}, {received} bytes, at last {last!r}")
    return received / seconds


def _arrival(descriptor: int, sign: bytes) -> tuple[float, int, bytes]:
    """Read to the end. Returns the seconds from the block with the sign to the last one, the bytes after the former,
    and the end of what was read."""
    first = last = 0.0
    received, tail = 0, b""
    while block := _read(descriptor):
        last = time.perf_counter()
        if first:
            received += len(block)
        elif sign in block:
            first = last
        tail = block[-200:]
    return last - first, received, tail


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, _BLOCK)
    except OSError:  # EIO: the last process that had the terminal open is gone
        return b""
