"""The caller's terminal, put right after a session that had no chance to do so itself.

Runs as root, on descriptors that the caller handed down: it opens no name that the caller chose. A program that is
killed leaves its terminal raw, its cursor hidden, the mouse reported. What is written here changes nothing of a
terminal that is as it should be, so that it need not be known what the program had switched on.
"""

from __future__ import annotations

import os
import termios
import time
from collections.abc import Mapping
from contextlib import suppress

from pi_agent.python.records import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final

# From xterm's Control Sequences, https://invisible-island.net/xterm/ctlseqs/ctlseqs.html, unless it says otherwise.
RESET: Final = (
    b"\x1b\\"  # ends a string, such as an image, that broke off
    b"\x1b[?2026l"  # what was held back is shown: https://gist.github.com/christianparpart/d8a62cc1ab659194337d73e399004036
    # The screen that was there before. To leave the other one without being on it would move the cursor.
    b"\x1b[?1049h\x1b[?1049l"
    # Keys are reported as ever. Pi asks for two other ways: the kitty protocol's, which is popped, and an empty stack
    # takes that well (https://sw.kovidgoyal.net/kitty/keyboard-protocol/); and modifyOtherKeys.
    b"\x1b[<u\x1b[>4m"
    b"\x1b[?1l\x1b>"  # cursor keys and keypad
    b"\x1b[?2004l"  # no brackets around what is pasted
    b"\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1006l"  # no mouse
    b"\x1b[?1004l"  # no word when the window gains or loses the focus
    b"\x1b[?2031l"  # nor when its colours change: https://contour-terminal.org/vt-extensions/color-palette-update-notifications/
    b"\x1b[?7h\x1b[?25h"  # lines wrap, the cursor is seen
    b"\x1b(B\x1b[m"  # plain letters
)
_CANNOT: Final = ("", "dumb", "unknown")
_PATIENCE: Final = 0.2  # seconds for a terminal that takes nothing just now
_TURN: Final = 0.005  # seconds


@record
class Terminal:
    """descriptor: an open file of our own, which nobody's flow control makes wait. modes: those to go back to
    (termios), if they are ours to restore. reset: what to write."""

    descriptor: int
    modes: list[Any] | None
    reset: bytes

    def put_right(self) -> None:
        """Restore its modes and write the reset. One that is gone is fine, and so is one that nobody reads."""
        if self.modes is not None:
            with suppress(OSError, termios.error):
                termios.tcsetattr(self.descriptor, termios.TCSANOW, self.modes)
        rest, since = self.reset, time.monotonic()
        with suppress(OSError):
            while rest:
                try:
                    rest = rest[os.write(self.descriptor, rest) :]
                except BlockingIOError:  # its queue is full, or somebody else is writing to it in this moment
                    if time.monotonic() - since > _PATIENCE:
                        return
                    time.sleep(_TURN)

    def close(self) -> None:
        """Let go of it."""
        os.close(self.descriptor)


def present() -> bool:
    """Whether input and output are a terminal both; otherwise streams are passed on as they are."""
    return os.isatty(0) and os.isatty(1)


def seen(environ: Mapping[str, str]) -> Terminal | None:
    """The terminal that input and output are, as it is now; None if they are not, or it is about to go."""
    if not present() or (descriptor := _reopened("self")) is None:
        return None
    try:
        return Terminal(descriptor, termios.tcgetattr(descriptor), _reset(environ))
    except termios.error:
        os.close(descriptor)
        return None


def beyond_sudo(environ: Mapping[str, str], above: int) -> Terminal | None:
    """The terminal that sudo is on, where it gives another one to what it runs (sudoers(5), use_pty), and `seen`
    otherwise. above: the process that started us.

    For whoever outlives the runner: what is written to sudo's own terminal then comes too late. The modes are for sudo
    to restore.
    """
    if not present():
        return None
    try:
        with open(f"/proc/{above}/stat", encoding="utf-8", errors="replace") as file:
            front = file.read().rpartition(")")[2].split()[1]  # the parent: proc_pid_stat(5)
        # No other process than a sudo that is root's (proc_pid(5)): its descriptors are not the caller's to change.
        sudo = front != "0" and os.path.samefile(f"/proc/{front}/exe", f"/proc/{above}/exe")
        if sudo and os.stat(f"/proc/{front}").st_uid == 0:
            descriptor = _reopened(front)
            if descriptor is not None:
                return Terminal(descriptor, None, _reset(environ))
    except OSError:  # it is ending
        pass
    return seen(environ)


def _reset(environ: Mapping[str, str]) -> bytes:
    return b"" if environ.get("TERM", "") in _CANNOT else RESET


def _reopened(process: str) -> int | None:
    """The terminal that is the process's standard output, as another open file: to wait or not is a property that all
    who share one have in common. None if it may not be written to, or is none."""
    try:
        with open(f"/proc/{process}/fdinfo/1", encoding="ascii") as file:
            [flags] = [int(line.split()[1], 8) for line in file if line.startswith("flags:")]
        if flags & os.O_ACCMODE not in (os.O_WRONLY, os.O_RDWR):
            return None
        # By descriptor: such a link leads to the open file, whatever has become of its name (proc_pid_fd(5)).
        descriptor = os.open(f"/proc/{process}/fd/1", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except (OSError, ValueError):
        return None
    if os.isatty(descriptor):
        return descriptor
    os.close(descriptor)
    return None
