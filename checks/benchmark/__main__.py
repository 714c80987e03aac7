"""Measures in the machine, then reports: the table on standard output; JSON, table and plot in `results`, beside this.

Each row is kept there as soon as it is measured. Exit status: 0 if every row was measured and no bound was missed, 1
otherwise, 2 for an unknown row or a machine that cannot be reached, 130 after an interruption.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Final

from harness import layout
from harness.run import CheckError, Stream, say

from benchmark import plot, rows
from benchmark.kept import Kept

FOLDER: Final = Path(__file__).with_name("results")
_CHECKS: Final = layout.GUEST_PROJECT / "checks"
# Rounds, and runs per round.
_PACE: Final = (7, 8)
_QUICK: Final = (3, 4)
_INTERRUPTED: Final = 128 + signal.SIGINT
_STOPPING: Final = b"\nbench: interrupted; waiting until the machine is as it was\n"


def main(arguments: Sequence[str]) -> int:
    """Measure and report."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--rows", default="", help="names of rows or groups of rows, with commas between; all of them")
    parser.add_argument("--quick", action="store_true", help="fewer rounds: for a first look, not for a decision")
    options = parser.parse_args(arguments)
    names = [name for name in options.rows.split(",") if name]
    try:
        wanted = rows.chosen(names)
    except ValueError as error:
        say(f"bench: {error}")
        return 2
    kept = Kept(FOLDER, wanted)
    try:
        return _measured(kept, _measuring(names, _QUICK if options.quick else _PACE))
    except KeyboardInterrupt:  # the second: whoever is at the keyboard does not want to wait
        return _INTERRUPTED
    except CheckError as error:
        say(f"bench: {error}\n{error.remedy}")
        _report(kept)
        return 2


def _measured(kept: Kept, lines: Stream) -> int:
    """Keep what is measured until all is, or until an interruption; then report. Returns the exit status."""

    def interrupt(number: int, _frame: FrameType | None) -> None:
        if not lines.stopped:
            lines.stop()
        elif number == signal.SIGINT:  # others may come twice: timeout(1) sends them to all, and make(1) passes them on
            raise KeyboardInterrupt
        else:
            return
        # Not by print, which a signal may have come into.
        os.write(sys.stderr.fileno(), _STOPPING)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)
    for line in lines:
        kept.add(json.loads(line))
    bad = _report(kept)
    return _INTERRUPTED if lines.stopped else bad


def _report(kept: Kept) -> int:
    """Show what was measured. Returns 1 if a row is not good."""
    if not kept.found:
        say("bench: no row was measured; earlier results stay as they are")
        return 0
    plot.draw(kept.found, FOLDER / "results.svg")
    print(kept.text())
    bad = [result for result in kept.found if not result.good]
    for result in bad:
        say(f"bench: {result.row.key}: {result.verdict}")
    if kept.missing:
        count = len(kept.found)
        say(f"bench: kept {count} {'row' if count == 1 else 'rows'}; not measured: {', '.join(kept.missing)}")
    say(f"bench: JSON, table and plot are in {FOLDER}")
    return 1 if bad else 0


def _measuring(names: Sequence[str], pace: tuple[int, int]) -> Stream:
    """The output of benchmark.measure in the machine, which must be up."""
    paths = f"--env=PYTHONPATH={_CHECKS}:{layout.GUEST_PROJECT}"
    words = ["python3", "-B", "-m", "benchmark.measure", *map(str, pace), *names]
    machine = [str(layout.CHECKOUT / "checks/machine"), "exec", paths, f"--cwd={layout.GUEST_PROJECT}", "--", *words]
    return Stream(machine)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
