"""Plots the results as SVG: each row's value beside its bound."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from matplotlib.figure import Figure

from benchmark.results import Measured, Result
from benchmark.rows import Row

_COLOURS: Final = {"reached": "tab:green", "MISSED": "tab:red", "told": "tab:blue"}


def draw(results: Sequence[Result], path: Path) -> None:
    """Write the plot.

    Every value is divided by its bound, so that all share one scale: up to 1 is within the bound. For a lower bound,
    the bound is divided by the value. Rows without a bound are not scaled.
    """
    rows = [(each.row, each.measured, each.verdict) for each in reversed(results) if each.measured is not None]
    figure = Figure(figsize=(10, 0.45 * len(rows) + 1.5), layout="constrained")
    axes = figure.subplots()
    for place, (row, measured, verdict) in enumerate(rows):
        middle, low, high = scaled(row, measured)
        axes.barh(place, middle, color=_COLOURS[verdict], alpha=0.6)
        axes.errorbar(middle, place, xerr=[[middle - low], [high - middle]], color="black", capsize=3)
    axes.axvline(1, color="black", linewidth=1)
    axes.set_yticks(range(len(rows)), [f"{row.what} ({_bound(row)})" for row, _, _ in rows])
    axes.set_xlabel("share of the bound (line: the bound; whiskers: quartiles of the rounds)")
    figure.savefig(path, format="svg")


def scaled(row: Row, measured: Measured) -> tuple[float, float, float]:
    """Median, lower and upper quartile, relative to the bound."""
    value, bound = measured.value, row.bound
    # The median is of all values, the quartiles are of the rounds: the median may lie outside.
    low, high = min(value.low, value.median), max(value.high, value.median)
    if bound is None:
        return value.median, low, high
    if bound.least:
        return bound.limit / value.median, bound.limit / high, bound.limit / low
    return value.median / bound.limit, low / bound.limit, high / bound.limit


def _bound(row: Row) -> str:
    return str(row.bound) if row.bound is not None else f"to {row.reference}"
