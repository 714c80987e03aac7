"""File descriptors that are closed together."""

from __future__ import annotations

import os


class Descriptors:
    """Open descriptors that belong to one value. Closing them twice is harmless."""

    def __init__(self) -> None:
        self._open: list[int] = []

    def hold(self, descriptor: int) -> int:
        """Add a descriptor to those to close, and return it."""
        self._open.append(descriptor)
        return descriptor

    def close(self) -> None:
        """Close all descriptors."""
        while self._open:
            os.close(self._open.pop())
