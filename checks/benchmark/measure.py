"""Measures in the machine, as its root: `python3 -m benchmark.measure ROUNDS RUNS [ROW…]`; prints one JSON document."""

from __future__ import annotations

import os
import sys
import time
import traceback
from collections.abc import Sequence
from typing import Any

from support.commands import on_machine

from benchmark import results, rows
from benchmark.compared import MEASURES
from benchmark.hyperfine import Pace
from benchmark.prepared import Desk, desk
from benchmark.results import Result
from benchmark.rows import Row


def main(arguments: Sequence[str]) -> int:
    """Measure the chosen rows, and print the results."""
    rounds, runs, *names = arguments
    pace = Pace(int(rounds), int(runs))
    with desk() as made:
        found = [_measured(row, made, pace) for row in rows.chosen(names)]
    print(results.dump(_about(pace), found))
    return 0


def _measured(row: Row, made: Desk, pace: Pace) -> Result:
    """Measure one row. A failure of any kind concerns only that row."""
    print(f"measuring {row.key} …", file=sys.stderr, end="", flush=True)
    since = time.monotonic()
    try:
        return Result(row, MEASURES[row.key](made, pace))
    except Exception as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        return Result(
            row, None, f"{error}\n({type(error).__name__} in {os.path.basename(place.filename)}:{place.lineno})"
        )
    finally:
        print(f" {time.monotonic() - since:.0f} s", file=sys.stderr, flush=True)


def _about(pace: Pace) -> dict[str, Any]:
    """The conditions of the measurement."""
    version = on_machine("systemctl", "--version").ok().text.split()[1]
    return {
        "cores": os.cpu_count(),
        "kernel": os.uname().release,
        "systemd": version,
        "rounds": pace.rounds,
        "runs": pace.runs,
        "load": os.getloadavg(),
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
