"""A journald that keeps what it receives."""

from __future__ import annotations

import socket
import struct


class Journal:
    """A journald that keeps what it receives."""

    def __init__(self, path: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self.socket.bind(path)

    def content(self) -> bytes:
        """The next entry, as received."""
        return self.socket.recv(1 << 20)

    def entries(self) -> list[list[tuple[str, str]]]:
        """All entries since the last call, as journald reads them."""
        found = []
        while True:
            try:
                found.append(fields(self.content()))
            except BlockingIOError:
                return found


def fields(content: bytes) -> list[tuple[str, str]]:
    """The fields of an entry (JOURNAL_NATIVE_PROTOCOL): NAME=value, or NAME, a length of 8 bytes and the value."""
    found = []
    while content:
        line, _, content = content.partition(b"\n")
        name, equals, value = line.partition(b"=")
        if not equals:
            (length,) = struct.unpack("<Q", content[:8])
            value, content = content[8 : 8 + length], content[8 + length :]
            assert content[:1] == b"\n"
            content = content[1:]
        found.append((name.decode(), value.decode("utf-8", "surrogateescape")))
    return found
