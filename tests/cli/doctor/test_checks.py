"""The list of checks: what is run, and how an error in a check is reported."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pytest

from pi_agent.cli.doctor import checks
from pi_agent.cli.doctor.checks import Check
from pi_agent.cli.doctor.context import Context
from pi_agent.messages import finding, refusals
from pi_agent.messages.finding import OK, Finding
from pi_agent.messages.refusal import EX_UNAVAILABLE
from tests.support.installations import Installation, only


def test_a_check_that_fails_in_an_unforeseen_way_is_a_finding_too(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(_context: Context) -> Iterable[Finding]:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(checks, "CHECKS", (Check("x", failing),))
    found = only(checks.run_all(installation.context()))
    assert (found.name, found.status) == ("x", EX_UNAVAILABLE) and "Input/output error" in found.what


def test_what_a_launch_would_refuse_is_told_with_its_refusal(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusal = refusals.state_being_reset()

    def refusing(_context: Context) -> Iterable[Finding]:
        raise refusal

    monkeypatch.setattr(checks, "CHECKS", (Check("x", refusing),))
    assert checks.run_all(installation.context()) == [finding.refused("x", refusal)]


def test_what_needs_root_is_left_out_for_others(installation: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    found = Finding(OK, "x", "fine")
    monkeypatch.setattr(checks, "CHECKS", (Check("x", lambda _: [found], needs_root=True),))
    context = installation.context()
    assert checks.run_all(context) == [found]
    assert checks.run_all(replace(context, as_root=False)) == []
