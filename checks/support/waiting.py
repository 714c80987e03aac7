"""How long anything may take, and waiting for it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, TypeVar

T = TypeVar("T")
# How long anything may take before it counts as stuck, in seconds.
PATIENCE: Final = 30.0
# How long a session may take to be gone without a trace, in seconds.
CLEAN_WITHIN: Final = 5.0


def until(condition: Callable[[], T], what: str, seconds: float = PATIENCE) -> T:
    """Wait until condition gives something true, and return that."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"after {seconds} seconds still not: {what}"
        time.sleep(0.02)
    return value
