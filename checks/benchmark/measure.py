"""Measures in the machine, as its root: `python3 -m benchmark.measure ROUNDS RUNS [ROW…]`.

Prints a JSON object in a line of its own: first about the measurement, then for each row as soon as it is measured. The
end of its standard input interrupts it: whoever started it is not there any more, or wants no more rows. Then it undoes
what it has changed on the machine, and its exit status is 130.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Mapping, Sequence
from typing import Any, Final

from support.commands import on_machine

from benchmark import results, rows
from benchmark.compared import MEASURES
from benchmark.hyperfine import Pace
from benchmark.prepared import Desk, desk
from benchmark.results import Result
from benchmark.rows import Row

_INTERRUPTED: Final = 128 + signal.SIGINT


def main(arguments: Sequence[str]) -> int:
    """Measure the chosen rows, and print the results."""
    rounds, runs, *names = arguments
    pace = Pace(int(rounds), int(runs))
    # In a process group of its own, so that an interruption reaches all that this starts, and not who started it.
    os.setpgid(0, 0)
    threading.Thread(target=_interrupt_at_end_of_input, daemon=True).start()
    try:
        _print(_about(pace))
        with desk() as made:
            for row in rows.chosen(names):
                _print(results.dumped(_measured(row, made, pace)))
    except (KeyboardInterrupt, BrokenPipeError):
        return _INTERRUPTED
    return 0


def _interrupt_at_end_of_input() -> None:
    # Not by sys.stdin: a thread that waits for it would abort the interpreter's end.
    while os.read(0, 1):
        pass
    os.killpg(0, signal.SIGINT)


def _print(value: Mapping[str, Any]) -> None:
    print(json.dumps(value, ensure_ascii=False), flush=True)


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
