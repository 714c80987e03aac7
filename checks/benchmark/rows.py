"""The rows of the table: what is compared with what, and the bound for each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Bound:
    """A limit of a row's value: the highest allowed, or with `least` the lowest."""

    limit: float
    least: bool = False

    def reached(self, value: float) -> bool:
        """Whether the value is within the limit."""
        return value >= self.limit if self.least else value <= self.limit

    def __str__(self) -> str:
        return f"{'≥' if self.least else '≤'} {self.limit:g}"


@dataclass(frozen=True, slots=True)
class Row:
    """key: the name in `ROWS=`; the part before a dash names a group. bound: None if there is none."""

    key: str
    what: str
    reference: str
    bound: Bound | None


_BY_HAND: Final = "sudo systemd-run by hand"
_UNWRAPPED: Final = "Pi alone"

ROWS: Final = (
    Row("launch-pipe", "launch, through pipes", _BY_HAND, Bound(1.3)),
    Row("launch-terminal", "launch, at a terminal", f"{_BY_HAND}, with --pty", Bound(1.45)),
    Row("parallel", "20 launches at once", f"20 × {_BY_HAND}", Bound(1.35)),
    Row("memory", "memory that stays while a session runs", "sudo systemd-run", Bound(1.5)),
    Row("refusal", "refusal in a wrong directory", "python3 -I -c pass", Bound(2)),
    Row("end-pipe", "session end, through pipes, ms", "", Bound(3)),
    Row("end-terminal", "session end, at a terminal, ms", "", Bound(3)),
    Row("steps", "slowest step of our own in a launch, ms", "", Bound(15)),
    Row("pi-version", "pi --version", _UNWRAPPED, Bound(1.0)),
    Row("pi-screen", "Pi's first screen at a terminal", _UNWRAPPED, Bound(1.05)),
    Row("pi-turn", "a turn of Pi with a scripted model and a tool", _UNWRAPPED, None),
    Row("project-directories", "launch in a repository with 10,000 directories, s", "", Bound(1.5)),
    Row("project-covers", "launch in a repository with 4,000 covers, s", "", Bound(1.5)),
    Row("sync-nothing", "sync of 10,000 files, nothing changed", "rsync -a --delete", Bound(1.0)),
    Row("sync-some", "sync of 10,000 files, 1 % changed", "rsync -a --delete", Bound(1.2)),
    Row("sync-first", "sync of 10,000 files, the first", "cp -a", Bound(1.5)),
    Row("sync-growth", "growth of sync from 100 to 100,000 files, exponent", "", Bound(1.1)),
    Row("policy", "launch under a policy of 1,000 users × 100 roots", "a policy of one user", Bound(1.1)),
    Row("throughput-pipe", "1 GB through a pipe", "sudo systemd-run --pipe", Bound(0.95, least=True)),
    Row("throughput-terminal", "100 MB through a terminal", "sudo systemd-run --pty", Bound(0.95, least=True)),
    Row("context-bubblewrap", "launch, through pipes", "bwrap with an equivalent view", None),
    Row("context-sudo", "launch, through pipes", "sudo -u pi-agent true", None),
)


def chosen(names: Sequence[str]) -> list[Row]:
    """The rows with these names or in these groups; all rows if no name is given.

    Raises ValueError for an unknown name.
    """
    for name in names:
        if not any(_is(row, name) for row in ROWS):
            raise ValueError(f"no row is called {name}; there are {', '.join(row.key for row in ROWS)}")
    return [row for row in ROWS if not names or any(_is(row, name) for name in names)]


def _is(row: Row, name: str) -> bool:
    return name in (row.key, row.key.partition("-")[0])
