"""Time limits, and waiting for a condition."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, TypeVar

T = TypeVar("T")
# Seconds after which anything counts as stuck.
PATIENCE: Final = 30.0
# Seconds within which every trace of a session must vanish.
CLEAN_WITHIN: Final = 5.0


def until(condition: Callable[[], T], what: str, seconds: float = PATIENCE) -> T:
    """Wait until condition returns a true value, and return that value."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"after {seconds} seconds still not: {what}"
        time.sleep(0.02)
    return value
