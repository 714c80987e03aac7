"""Restores the machine for each file of attempts, and prints one table of all results at the end."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest
from support.fresh import fresh, pristine, tell_of_groups
from support.limits import register

from escapes.case import Case

__all__ = ["pristine"]

_ANSWER_WIDTH: Final = 44


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table."""

    name: str
    tries: str
    answer: str
    verdict: str


_ROWS: Final = pytest.StashKey[list[Row]]()


def pytest_configure(config: pytest.Config) -> None:
    """Start the table."""
    register(config)
    config.stash[_ROWS] = []


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Record the result of an attempt or a grant."""
    report = yield
    if report.when == "call" or report.failed:
        row = _row(item, report)
        if row:
            item.config.stash[_ROWS].append(row)
    return report


def _verdict(facts: Mapping[str, object], report: pytest.TestReport) -> str:
    """If the machine itself does not offer what is denied, nothing is proven, and the table says so."""
    return str(facts.get("verdict", "denied")) if report.passed else "FAILED"


def _row(item: pytest.Item, report: pytest.TestReport) -> Row | None:
    if not isinstance(item, pytest.Function):
        return None
    facts = dict(item.user_properties)
    parameters = item.callspec.params if hasattr(item, "callspec") else {}
    case = parameters.get("case")
    if isinstance(case, Case):
        return Row(case.id, case.tries, str(facts.get("answer", "none")), _verdict(facts, report))
    marks = item.function.__dict__
    module = item.module.__name__.rpartition("test_")[2]
    name = item.name.removeprefix("test_")
    if "attempt" in marks:
        answer = "known limit" if hasattr(report, "wasxfail") else str(facts.get("answer", "no effect"))
        verdict = "known" if hasattr(report, "wasxfail") else _verdict(facts, report)
        return Row(f"{module}::{name}", marks["attempt"][1], answer, verdict)
    if "grant" in marks:
        group, works = marks["grant"]
        return Row(
            f"{group}::{name}", works, "works" if report.passed else "fails", "granted" if report.passed else "FAILED"
        )
    return None


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print the table, and the exposure below it."""
    tell_of_groups(terminalreporter)
    rows = config.stash[_ROWS]
    if not rows:
        return
    write = terminalreporter.write_line
    terminalreporter.section("escapes")
    names = max(len(row.name) for row in rows)
    tries = max(len(row.tries) for row in rows)
    for row in (Row("case", "attempt", "answer", "verdict"), *rows):
        answer = row.answer if len(row.answer) <= _ANSWER_WIDTH else row.answer[: _ANSWER_WIDTH - 1] + "…"
        write(f"{row.name:<{names}}  {row.tries:<{tries}}  {answer:<{_ANSWER_WIDTH}}  {row.verdict}")
    verdicts = [row.verdict for row in rows]
    write(", ".join(f"{verdicts.count(verdict)} {verdict}" for verdict in sorted(set(verdicts))))
    for report in terminalreporter.getreports("passed") + terminalreporter.getreports("failed"):
        for name, value in report.user_properties:
            if name == "exposure":
                write(f"exposure of a session of the real Pi (systemd-analyze security): {value}")


@pytest.fixture(scope="module", autouse=True)
def known_module(pristine: Path) -> Iterator[None]:
    """See `fresh`. Once per file, because most attempts change nothing."""
    with fresh(pristine):
        yield


@pytest.fixture
def afresh(pristine: Path, known_module: None) -> Iterator[None]:
    """See `fresh`. For a test that changes people's files."""
    with fresh(pristine):
        yield
