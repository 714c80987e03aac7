"""Measures in the machine, then reports: the table on standard output; JSON, table and plot in `results`, beside this.

Exit status: 0 if every row was measured and no bound was missed, 1 otherwise, 2 for an unknown row.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from harness import layout
from harness.run import CheckError, run, say

from benchmark import plot, results, rows

FOLDER: Final = Path(__file__).with_name("results")
_CHECKS: Final = layout.GUEST_PROJECT / "checks"
# Rounds, and runs per round.
_PACE: Final = (7, 8)
_QUICK: Final = (3, 4)


def main(arguments: Sequence[str]) -> int:
    """Measure and report."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--rows", default="", help="names of rows or groups of rows, with commas between; all of them")
    parser.add_argument("--quick", action="store_true", help="fewer rounds: for a first look, not for a decision")
    options = parser.parse_args(arguments)
    names = [name for name in options.rows.split(",") if name]
    try:
        rows.chosen(names)
        text = _measure(names, _QUICK if options.quick else _PACE)
    except (ValueError, CheckError) as error:
        say(f"bench: {error}")
        return 2
    about, found = results.load(text)
    table = results.table(found)
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / "results.json").write_text(text, encoding="utf-8")
    (FOLDER / "results.md").write_text(f"{table}\n", encoding="utf-8")
    plot.draw(found, FOLDER / "results.svg")
    print(table)
    print(f"\n{', '.join(f'{name} {value}' for name, value in about.items())}")
    bad = [result for result in found if not result.good]
    for result in bad:
        say(f"bench: {result.row.key}: {result.verdict}")
    say(f"bench: JSON, table and plot are in {FOLDER}")
    return 1 if bad else 0


def _measure(names: Sequence[str], pace: tuple[int, int]) -> str:
    """The output of benchmark.measure in the machine, which must be up."""
    paths = f"--env=PYTHONPATH={_CHECKS}:{layout.GUEST_PROJECT}"
    words = ["python3", "-B", "-m", "benchmark.measure", *map(str, pace), *names]
    machine = [str(layout.CHECKOUT / "checks/machine"), "exec", paths, f"--cwd={layout.GUEST_PROJECT}", "--", *words]
    return run(machine, capture=True).output


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
