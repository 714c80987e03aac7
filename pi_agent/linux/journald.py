"""Send entries to journald by its native protocol (systemd's JOURNAL_NATIVE_PROTOCOL).

A value may hold any bytes, so no name can forge a field or a second line.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

SOCKET: Final = "/run/systemd/journal/socket"


def send(entry: Mapping[str, str]) -> None:
    """Send an entry, field name → value. An unreachable journal is not an error."""
    import socket  # imported here, while systemd is busy with the session

    _clear_arguments()
    content = b"".join(_field(name, value) for name, value in entry.items())
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as journal:
            journal.sendto(content, socket.MSG_DONTWAIT, SOCKET)
    except OSError:
        pass


def _clear_arguments() -> None:
    """Remove the arguments, which may hold a prompt, from the command line that the kernel shows (proc_pid_cmdline(5)).

    journald records the command line of the sender (`_CMDLINE`). sys.argv has its own copy.
    """
    import ctypes

    try:
        with open("/proc/self/cmdline", "rb") as file:
            shown = file.read()
        arguments = b"".join(os.fsencode(word) + b"\0" for word in sys.argv[1:])
        if not arguments or not shown.endswith(b"\0" + arguments):
            return
        with open("/proc/self/stat", "rb") as file:
            numbers = file.read().rpartition(b")")[2].split()
    except OSError:
        return
    start, end = int(numbers[45]), int(numbers[46])  # arg_start and arg_end, fields 48 and 49 of proc_pid_stat(5)
    if start and end - start == len(shown):
        ctypes.memset(end - len(arguments), 0, len(arguments))


def _field(name: str, value: str) -> bytes:
    data = value.encode("utf-8", "surrogateescape")
    return name.encode() + b"\n" + len(data).to_bytes(8, "little") + data + b"\n"
