"""Statistics of measurements. Pure functions of numbers.

Medians and quartiles, because a busy machine only ever adds to a time, and means follow outliers.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """A median with its quartiles, and the number of values."""

    median: float
    low: float
    high: float
    count: int


@dataclass(frozen=True, slots=True)
class Round:
    """Measurements of ours and of the reference, one right after the other, in the same unit."""

    ours: tuple[float, ...]
    theirs: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Runs:
    """The runs of one command in one round.

    seconds: of each run. processor: seconds of processor time per run, on the whole machine; None if something else ran
    in between.
    """

    seconds: tuple[float, ...]
    processor: float | None


def figure(values: Sequence[float]) -> Figure:
    """The figure of one or more values."""
    if len(values) == 1:
        return Figure(values[0], values[0], values[0], 1)
    low, median, high = statistics.quantiles(values, n=4, method="inclusive")
    return Figure(median, low, high, len(values))


def ours(rounds: Sequence[Round]) -> Figure:
    """The figure of all measurements of ours."""
    return figure([value for each in rounds for value in each.ours])


def theirs(rounds: Sequence[Round]) -> Figure:
    """The figure of all measurements of the reference."""
    return figure([value for each in rounds for value in each.theirs])


def ratio(rounds: Sequence[Round]) -> Figure:
    """Ours as a multiple of the reference.

    The median is the ratio of the medians of all values. Quartiles and count are those of the single rounds' ratios, so
    that they show how rounds differ.
    """
    apart = figure([statistics.median(each.ours) / statistics.median(each.theirs) for each in rounds])
    return Figure(ours(rounds).median / theirs(rounds).median, apart.low, apart.high, apart.count)


def exponent(points: Sequence[tuple[float, float]]) -> float:
    """The k of y = c·x^k that fits points (x, y) best on logarithmic scales; 1 is linear.

    Raises ValueError if a coordinate is not positive, or if there are fewer than two different x.
    """
    if any(x <= 0 or y <= 0 for x, y in points):
        raise ValueError(f"no logarithm of all of {points}")
    line = statistics.linear_regression([math.log(x) for x, _ in points], [math.log(y) for _, y in points])
    return line.slope


def processor(metered: str, runs: int) -> float:
    """Seconds of processor time per run. metered: microseconds before and after all of the runs."""
    before, after = map(int, metered.split())
    return (after - before) / 1e6 / runs
