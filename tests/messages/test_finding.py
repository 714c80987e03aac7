"""A finding as one line, with its remedy below."""

from __future__ import annotations

import inspect
from collections.abc import Callable

import pytest

from pi_agent.messages import access_findings, account_findings, finding, findings, kernel_findings
from pi_agent.messages.finding import FAIL, OK, Finding
from pi_agent.messages.refusal import EX_CONFIG, EX_DATAERR, EX_NOPERM, EX_UNAVAILABLE, Refusal


def test_a_finding_is_one_line_and_only_what_is_not_well_has_a_remedy() -> None:
    assert str(Finding(OK, "state", "is there", "never shown")) == "ok    state          is there"
    lines = str(Finding(FAIL, "state", "is gone", "Make it.\nOr not.")).split("\n")
    assert lines[0] == "FAIL  state          is gone"
    assert [line.strip() for line in lines[1:]] == ["Make it.", "Or not."]


@pytest.mark.parametrize(
    ("refused", "status"),
    [(EX_UNAVAILABLE, EX_UNAVAILABLE), (EX_CONFIG, EX_CONFIG), (EX_NOPERM, EX_CONFIG), (EX_DATAERR, EX_CONFIG)],
)
def test_a_refusal_is_a_failure_with_its_texts_and_one_of_two_statuses(refused: int, status: int) -> None:
    found = finding.refused("root", Refusal(refused, "what", "do"))
    assert found == Finding(FAIL, "root", "what", "do", status)


_EVIL = "a\x1b[2J\nb\u202e"
_FACTS = {"int": 3, "str": _EVIL, "tuple[str, str]": ("user", "group"), "Sequence[str]": [_EVIL] * 9}


@pytest.mark.parametrize(
    "make",
    [
        value
        for module in (findings, access_findings, account_findings, kernel_findings)
        for name, value in inspect.getmembers(module, inspect.isfunction)
        if value.__module__ == module.__name__ and not name.startswith("_")
    ],
    ids=lambda make: make.__name__,
)
def test_every_finding_is_harmless_and_says_what_to_do(make: Callable[..., object]) -> None:
    facts: list[object] = []
    for name, parameter in inspect.signature(make).parameters.items():
        chosen_by_us = name in ("user", "group", "option", "needed", "socket", "service") or (make is findings.staging)
        if parameter.annotation == "Refusal":
            facts.append(Refusal(EX_CONFIG, "what", "do"))
        elif parameter.annotation == "str" and (chosen_by_us or (name == "why" and make is findings.root_unusable)):
            facts.append("x")
        else:
            facts.append(_FACTS[parameter.annotation])
    found = make(*facts)
    if isinstance(found, Finding):
        assert found.what.isprintable()
        assert all(line.isprintable() for line in found.remedy.split("\n"))
        assert bool(found.remedy) is (found.grade != OK)
