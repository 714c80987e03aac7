"""Restores the caller's terminal after a session, however it ended.

Runs as root, on descriptors that the caller handed down. It opens no name that the caller chose. A killed program
leaves its terminal in raw mode, with the cursor hidden and mouse reporting on, and an agent may leave it so on purpose.
The reset changes nothing on a terminal that is in order, so it does not matter what the program had switched on.
"""

from __future__ import annotations

import os
import time

from pi_agent.python.records import record
from pi_agent.python.standard import suppress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, Final

# From xterm's Control Sequences, https://invisible-island.net/xterm/ctlseqs/ctlseqs.html, unless noted otherwise.
RESET: Final = (
    b"\x1b\\"  # end an unfinished string, such as an image
    b"\x1b[?2026l"  # show held-back output: https://gist.github.com/christianparpart/d8a62cc1ab659194337d73e399004036
    # Return to the main screen. Leaving the alternate screen without being on it would move the cursor, so it is
    # entered first; held back, so that nobody sees it.
    b"\x1b[?2026h\x1b[?1049h\x1b[?1049l\x1b[?2026l"
    # Reset key reporting. Pi enables two modes: the kitty protocol's, which is popped (harmless if the stack is empty:
    # https://sw.kovidgoyal.net/kitty/keyboard-protocol/), and modifyOtherKeys.
    b"\x1b[<u\x1b[>4m"
    b"\x1b[?1l\x1b>"  # cursor keys and keypad
    b"\x1b[?2004l"  # bracketed paste off
    b"\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1005l\x1b[?1006l\x1b[?1015l"  # mouse reporting off
    b"\x1b[?1004l"  # focus reporting off
    b"\x1b[?2031l"  # colour change reporting off: https://contour-terminal.org/vt-extensions/color-palette-update-notifications/
    b"\x1b[?7h\x1b[?25h"  # line wrap on, cursor visible
    b"\x1b(B\x1b[m"  # ASCII letters, no attributes
)
_CANNOT: Final = ("", "dumb", "unknown")
_PATIENCE: Final = 0.2  # seconds to wait for a terminal that accepts no output
_TURN: Final = 0.005  # seconds


@record
class Terminal:
    """A terminal and how to restore it.

    descriptor: an open file description of our own, so that no other process can make it block. modes: the termios
    attributes to restore; None if another process restores them. reset: the bytes to write.
    """

    descriptor: int
    modes: list[Any] | None
    reset: bytes

    def put_right(self) -> None:
        """Restore the modes and write the reset. A terminal that is gone, or that nobody reads, is not an error."""
        if self.modes is not None:
            import termios  # only a launch at a terminal needs it

            with suppress(OSError, termios.error):
                termios.tcsetattr(self.descriptor, termios.TCSANOW, self.modes)
        rest, since = self.reset, time.monotonic()
        with suppress(OSError):
            while rest:
                try:
                    rest = rest[os.write(self.descriptor, rest) :]
                except BlockingIOError:  # its queue is full, or another process is writing to it at this moment
                    if time.monotonic() - since > _PATIENCE:
                        return
                    time.sleep(_TURN)

    def close(self) -> None:
        """Close the descriptor."""
        os.close(self.descriptor)


def present() -> bool:
    """Whether input and output are both a terminal. If not, the streams are passed on as they are."""
    return os.isatty(0) and os.isatty(1)


def seen(environ: Mapping[str, str]) -> Terminal | None:
    """The terminal on input and output, in its current state; None if they are not one, or it is about to vanish."""
    if not present() or (descriptor := _reopened("self")) is None:
        return None
    import termios  # only a launch at a terminal needs it

    try:
        return Terminal(descriptor, termios.tcgetattr(descriptor), _reset(environ))
    except termios.error:
        os.close(descriptor)
        return None


def beyond_sudo(environ: Mapping[str, str], above: int) -> Terminal | None:
    """The terminal that sudo is on, if sudo gives its command another one (sudoers(5), use_pty); else as `seen`.

    For a process that outlives the runner: by then it is too late to write to the terminal that sudo provides. sudo
    itself restores the modes. above: the process that started the runner.
    """
    if not present():
        return None
    front = front_of(above)
    if front != above and (descriptor := _reopened(str(front))) is not None:
        return Terminal(descriptor, None, _reset(environ))
    return seen(environ)


def front_of(above: int) -> int:
    """The sudo that is on the caller's terminal: above itself, or what started it, if that is a sudo as well."""
    try:
        with open(f"/proc/{above}/stat", encoding="utf-8", errors="replace") as file:
            front = file.read().rpartition(")")[2].split()[1]  # the parent: proc_pid_stat(5)
        # Only a sudo that runs as root (proc_pid(5)): the caller cannot change its descriptors.
        sudo = front != "0" and os.path.samefile(f"/proc/{front}/exe", f"/proc/{above}/exe")
        return int(front) if sudo and os.stat(f"/proc/{front}").st_uid == 0 else above
    except OSError:  # the process is ending
        return above


def _reset(environ: Mapping[str, str]) -> bytes:
    return b"" if environ.get("TERM", "") in _CANNOT else RESET


def _reopened(process: str) -> int | None:
    """Open the terminal on the process's standard output again. None if it is not a terminal, or is not writable.

    A new open file description is needed: all descriptors that share one also share its blocking mode.
    """
    try:
        with open(f"/proc/{process}/fdinfo/1", encoding="utf-8") as file:
            [flags] = [int(line.split()[1], 8) for line in file if line.startswith("flags:")]
        if flags & os.O_ACCMODE not in (os.O_WRONLY, os.O_RDWR):
            return None
        # By descriptor: this link leads to the open file, whatever has happened to its name (proc_pid_fd(5)).
        descriptor = os.open(f"/proc/{process}/fd/1", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except (OSError, ValueError):
        return None
    if os.isatty(descriptor):
        return descriptor
    os.close(descriptor)
    return None
