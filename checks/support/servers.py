"""Servers on the host, and programs inside that connect to them."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from support.commands import inside

# Stands for another host on the machine's network.
OTHER_HOST: Final = "192.0.2.10"
# Reports whether a connection to the address in the arguments succeeds: a family, an address and perhaps a port.
CONNECT: Final = r"""
import socket, sys
family, address, *port = sys.argv[1:]
kind = {"unix": socket.AF_UNIX, "inet": socket.AF_INET, "inet6": socket.AF_INET6}[family]
where = (address, int(port[0])) if port else address.replace("@", "\0", 1)
with socket.socket(kind) as client:
    client.settimeout(2)
    client.connect(where)
"""


@contextmanager
def listening(family: int, address: str | tuple[Any, ...]) -> Iterator[str | int]:
    """A server on the host that accepts connections. Yields its port."""
    with socket.socket(family, socket.SOCK_STREAM) as server:
        server.bind(address)
        server.listen()
        name = server.getsockname()

        def serve() -> None:
            while True:
                try:
                    server.accept()[0].close()
                except OSError:
                    return

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield name[1] if isinstance(name, tuple) else 0
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()


def connects(command: str, *where: str) -> bool:
    """Whether a program in the sandbox of a variant can connect there. See CONNECT."""
    return inside('python3 -c "$@"', CONNECT, *where, command=command).status == 0


SERVE_AND_ASK: Final = r"""
import socket, sys, threading
family, address = {"inet": (socket.AF_INET, "127.0.0.1"), "inet6": (socket.AF_INET6, "::1"),
                   "unix": (socket.AF_UNIX, "\0mine")}[sys.argv[1]]
with socket.socket(family) as server:
    server.bind(address if family == socket.AF_UNIX else (address, 0))
    server.listen()
    threading.Thread(target=lambda: server.accept()[0].sendall(b"answer"), daemon=True).start()
    with socket.socket(family) as client:
        client.connect(server.getsockname())
        print(client.recv(10).decode())
"""
