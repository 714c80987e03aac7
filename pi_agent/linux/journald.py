"""Send entries to journald by its native protocol (systemd's JOURNAL_NATIVE_PROTOCOL).

A value may hold any bytes, so no name can forge a field or a second line.
"""

from __future__ import annotations

import _socket
import os
import sys

from pi_agent.python import c_library

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Final

SOCKET: Final = "/run/systemd/journal/socket"


def send(entry: Mapping[str, str]) -> None:
    """Send an entry, field name → value. An unreachable journal is not an error."""
    _clear_arguments()
    content = b"".join(_field(name, value) for name, value in entry.items())
    try:
        # What socket.socket is made of: that module takes 7 ms to import.
        journal = _socket.socket(_socket.AF_UNIX, _socket.SOCK_DGRAM | _socket.SOCK_CLOEXEC)
        try:
            journal.sendto(content, _socket.MSG_DONTWAIT, SOCKET)
        finally:
            journal.close()
    except OSError:
        pass


def _clear_arguments() -> None:
    """Remove the arguments, which may hold a prompt, from the command line that the kernel shows (proc_pid_cmdline(5)).

    journald records the command line of the sender (`_CMDLINE`). sys.argv has its own copy.
    """
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
        c_library.libc.memset(c_library.c_void_p(end - len(arguments)), 0, c_library.c_size_t(len(arguments)))


def _field(name: str, value: str) -> bytes:
    data = value.encode("utf-8", "surrogateescape")
    return name.encode() + b"\n" + len(data).to_bytes(8, "little") + data + b"\n"
