"""The gate before which launch.bash waits until the runner lets it run the command.

A socket: if the runner dies, the kernel closes it, and launch.bash ends by itself. systemd connects it for the unit
(systemd.exec(5), OpenFile=); it never waits for us, as it might with a named pipe.
"""

from __future__ import annotations

import _socket
import os

_OPEN = b"go\n"


class Gate:
    """The gate of one session, closed until `open` is called. A context manager."""

    def __init__(self, path: str) -> None:
        """path: in a directory that only root can enter. Raises OSError."""
        self._listening = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC)
        self._accepted: int | None = None
        try:
            # The path of a socket has at most 107 bytes (unix(7)).
            directory = os.open(os.path.dirname(path), os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                self._listening.bind(f"/proc/self/fd/{directory}/{os.path.basename(path)}")
            finally:
                os.close(directory)
            self._listening.listen(1)
            self._listening.setblocking(False)
        except OSError:
            self._listening.close()
            raise

    def __enter__(self) -> Gate:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the gate for good: launch.bash ends if it still waits. May be called again."""
        if self._accepted is not None:
            os.close(self._accepted)
            self._accepted = None
        self._listening.close()

    def open(self) -> None:
        """Let launch.bash go on, which is connected by now. Raises OSError if it is not."""
        # What socket.accept() calls, without a module that takes long to import.
        self._accepted, _ = self._listening._accept()  # type: ignore[attr-defined]
        os.write(self._accepted, _OPEN)
