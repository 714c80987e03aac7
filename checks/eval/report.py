"""What is printed while checks run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from .expect import CheckFailedError


class Report:
    """Prints one line for each check as soon as it has run, and counts."""

    def __init__(self) -> None:
        """Nothing has been checked yet."""
        self.passed = 0
        self.failed = 0

    @contextmanager
    def check(self, sentence: str) -> Iterator[None]:
        """The block is the check: it passes unless it raises CheckFailedError."""
        try:
            yield
        except CheckFailedError as error:
            self.failed += 1
            print(f"FAILED  {sentence}")
            print("        " + str(error).replace("\n", "\n        "), flush=True)
        else:
            self.passed += 1
            print(f"ok      {sentence}", flush=True)
