"""The results of the rows, as values, as JSON and as a table."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from benchmark import figures
from benchmark.figures import Figure, Round, Runs
from benchmark.rows import ROWS, Row

Json = dict[str, Any]
# How many of a unit make the displayed unit, and its name.
_READABLE: Final = {"s": (0.001, "ms"), "KiB": (1024, "MiB"), "B/s": (1e6, "MB/s")}


@dataclass(frozen=True, slots=True)
class Measured:
    """The measurement of a row.

    rounds: in `unit` (s, KiB, B/s); none if nothing is compared. value: what the bound applies to, a ratio unless the
    row says otherwise. details: further lines for the report. alike: rounds of the same measurements of ours, and of
    the reference with our own layout. processor: for each round the seconds of processor time per run, of ours and of
    the reference.
    """

    unit: str
    rounds: tuple[Round, ...]
    value: Figure
    details: tuple[str, ...] = ()
    alike: tuple[Round, ...] = ()
    processor: tuple[Round, ...] = ()


@dataclass(frozen=True, slots=True)
class Result:
    """measured: None if it failed; then `error` names the command and its output."""

    row: Row
    measured: Measured | None
    error: str = ""

    @property
    def verdict(self) -> str:
        """One word: how the value compares with the bound."""
        if self.measured is None:
            return "FAILED"
        if self.row.bound is None:
            return "told"
        return "reached" if self.row.bound.reached(self.measured.value.median) else "MISSED"

    @property
    def good(self) -> bool:
        """Whether the row was measured, and no bound missed."""
        return self.verdict in ("told", "reached")


def compared(
    unit: str, rounds: Sequence[Round], *details: str, alike: Sequence[Round] = (), processor: Sequence[Round] = ()
) -> Measured:
    """A measurement against its reference. The value is the ratio."""
    return Measured(unit, tuple(rounds), figures.ratio(rounds), details, tuple(alike), tuple(processor))


def timed(rounds: Sequence[Sequence[Runs]]) -> Measured:
    """The result of rounds of ours, the reference and, if it was measured, the reference with our own layout."""
    found, alike, processor = list[Round](), list[Round](), list[Round]()
    for ours, theirs, *same in rounds:
        found.append(Round(ours.seconds, theirs.seconds))
        alike += [Round(ours.seconds, each.seconds) for each in same]
        if ours.processor is not None and theirs.processor is not None:
            processor.append(Round((ours.processor,), (theirs.processor,)))
    return compared("s", found, alike=alike, processor=processor)


def dump(about: Json, results: Sequence[Result]) -> str:
    """JSON: `about` the run, then the result of each row, with every single value."""
    return json.dumps({**about, "rows": [dumped(result) for result in results]}, indent=1, ensure_ascii=False)


def dumped(result: Result) -> Json:
    """A result as a JSON object, which `loaded` reads."""
    found: Json = {**asdict(result.row), "verdict": result.verdict}
    if result.measured is None:
        return {**found, "error": result.error}
    found |= asdict(result.measured)
    if rounds := result.measured.rounds:
        found |= {"ours": asdict(figures.ours(rounds)), "theirs": asdict(figures.theirs(rounds))}
    for name, rounds in (("alike", result.measured.alike), ("processor", result.measured.processor)):
        if rounds:
            found[f"{name}_ratio"] = asdict(figures.ratio(rounds))
    return found


def load(text: str) -> tuple[Json, list[Result]]:
    """Read what `dump` wrote."""
    about: Json = json.loads(text)
    return about, [loaded(found) for found in about.pop("rows")]


def loaded(found: Json) -> Result:
    """The result that `dumped` made an object of."""
    [row] = [row for row in ROWS if row.key == found["key"]]
    if "error" in found:
        return Result(row, None, found["error"])
    rounds, alike, processor = (_rounds(found[name]) for name in ("rounds", "alike", "processor"))
    value, details = Figure(**found["value"]), tuple(found["details"])
    return Result(row, Measured(found["unit"], rounds, value, details, alike, processor))


def _rounds(found: Sequence[Json]) -> tuple[Round, ...]:
    return tuple(Round(tuple(each["ours"]), tuple(each["theirs"])) for each in found)


_HEAD: Final = ("What", "Ours", "Reference", "Ratio (quartiles)", "Our layout", "CPU", "Bound", "")


def table(results: Sequence[Result]) -> str:
    """A Markdown table that is readable as it is, then the details and the errors."""
    lines = [_HEAD, *(_cells(result) for result in results)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(_HEAD))]
    padded = [[cell.ljust(width) for cell, width in zip(line, widths, strict=True)] for line in lines]
    text = [f"| {' | '.join(line)} |" for line in padded]
    text.insert(1, f"|{'|'.join('-' * (width + 2) for width in widths)}|")
    for result in results:
        more = result.error.splitlines() if result.measured is None else result.measured.details
        if more:
            text += ["", f"{result.row.key}:", *(f"  {line}" for line in more)]
    return "\n".join(text)


def _cells(result: Result) -> tuple[str, ...]:
    row, measured = result.row, result.measured
    bound = str(row.bound) if row.bound is not None else "—"
    if measured is None:
        return (row.what, "—", row.reference or "—", "—", "—", "—", bound, result.verdict)
    ours, reference = "—", "—"
    if measured.rounds:
        ours = _quantity(figures.ours(measured.rounds), measured.unit)
        reference = f"{_quantity(figures.theirs(measured.rounds), measured.unit)}: {row.reference}"
    value = measured.value
    spread = f" ({value.low:.2f}–{value.high:.2f})" if value.count > 1 else ""
    alike = f"{figures.ratio(measured.alike).median:.2f}" if measured.alike else "—"
    processor = _processor(measured.processor) if measured.processor else "—"
    return (row.what, ours, reference, f"{value.median:.2f}{spread}", alike, processor, bound, result.verdict)


def _processor(rounds: Sequence[Round]) -> str:
    """Processor time of ours and of the reference, and the ratio."""
    ours, theirs = (each(rounds).median * 1000 for each in (figures.ours, figures.theirs))
    return f"{ours:.0f} / {theirs:.0f} ms: {figures.ratio(rounds).median:.2f}"


def _quantity(amount: Figure, unit: str) -> str:
    scale, name = _READABLE[unit]
    median, low, high = (each / scale for each in (amount.median, amount.low, amount.high))
    places = 0 if median >= 100 else 1
    return f"{median:.{places}f} {name} ({low:.{places}f}–{high:.{places}f})"
