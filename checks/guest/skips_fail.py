"""A pytest plugin: if CI is set, a skipped test fails, and reports why it was skipped.

Elsewhere, a skip tells the reader that the machine lacks something. In CI, nobody reads it.
"""

import os
from collections.abc import Generator

import pytest


def judge(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Turn a skip into a failure in CI. An expected failure is not a skip."""
    if report.skipped and os.environ.get("CI") and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        reason = report.longrepr[-1] if isinstance(report.longrepr, tuple) else report.longrepr
        report.longrepr = f"{report.nodeid} must not be skipped here: {reason}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """See `judge`."""
    report = yield
    judge(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """See `judge`."""
    report = yield
    judge(report)
    return report
