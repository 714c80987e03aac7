"""The results on the host: what has been measured so far, in files that are complete after each row."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from benchmark import results
from benchmark.results import Json, Result
from benchmark.rows import Row


class Kept:
    """The results in a folder. The earlier ones stay until there is one of this measurement."""

    def __init__(self, folder: Path, wanted: Sequence[Row]) -> None:
        self._folder = folder
        self._wanted = wanted
        self._about: Json = {}
        self.found: list[Result] = []

    @property
    def missing(self) -> list[str]:
        """The rows that are wanted and were not measured yet."""
        there = [result.row for result in self.found]
        return [row.key for row in self._wanted if row not in there]

    def add(self, value: Json) -> None:
        """Take an object that benchmark.measure printed, and keep what it says."""
        if "key" not in value:
            self._about = value
            return
        self.found.append(results.loaded(value))
        self.write()

    def write(self) -> None:
        """Write the files anew."""
        self._folder.mkdir(exist_ok=True)
        self._write("results.json", results.dump({**self._about, "missing": self.missing}, self.found))
        self._write("results.md", f"{self.text()}\n")

    def text(self) -> str:
        """The table, and what holds for all of it."""
        about = ", ".join(f"{name} {value}" for name, value in self._about.items())
        missing = f"\n\nNot measured: {', '.join(self.missing)}." if self.missing else ""
        return f"{results.table(self.found)}{missing}\n\n{about}"

    def _write(self, name: str, text: str) -> None:
        # An interruption in between must not cost what was kept before.
        draft = self._folder / f".{name}.new"
        draft.write_text(text, encoding="utf-8")
        os.replace(draft, self._folder / name)
