"""Makes every attempt of the table inside. Each must be denied as expected, and its control must prove it real."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.commands import on_machine
from support.installed import Json, demo

from escapes import attempts, inside, targets
from escapes.case import PROMISES, Case, matches, watched
from escapes.table import CASES


@dataclass(frozen=True, slots=True)
class Evening:
    """The results of all attempts: answers inside, answers of the controls, and what has changed outside."""

    facts: Json
    answers: attempts.Answers
    controls: attempts.Answers
    different: frozenset[str]
    setid: list[str]


@pytest.fixture(scope="module")
def evening(known_module: None) -> Iterator[Evening]:
    """Make the attempts, then examine the machine from outside, then make the controls."""
    with targets.standing() as facts:
        before = {path: attempts.kept(path) for case in CASES for path in watched(case, facts)}
        made = [case.absent for case in CASES if case.absent]
        assert [path for path in made if before[path]] == [], "an attempt would not be seen"
        try:
            answers = attempts.made(CASES, facts)
            different = frozenset(path for path in before if attempts.kept(path) != before[path])
            setid = attempts.setid_below(demo("alice"))
        finally:
            on_machine("rm", "-rf", *made).ok()
        yield Evening(facts, answers, attempts.controls(CASES, facts), different, setid)


def test_names_are_unique_and_promises_known() -> None:
    assert len({case.id for case in CASES}) == len(CASES)
    assert {case.promise for case in CASES} <= set(PROMISES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_denied(case: Case, evening: Evening, request: pytest.FixtureRequest) -> None:
    answer, control = evening.answers[case.id], evening.controls[case.id]
    request.node.user_properties.append(("answer", answer))
    assert matches(control, case.control.gives), f"control: {control}, where an attempt gives {case.control.gives}"
    assert matches(answer, case.denied), f"answer: {answer}, where a denial is one of {case.denied}"
    if matches(control, case.denied):
        request.node.user_properties.append(("verdict", "NOT PROVEN"))
    assert not evening.different & set(watched(case, evening.facts)), "not as it was"


@pytest.mark.parametrize("change", ["echo >>{}", "chmod 0777 {}", "chown 1 {}", "chgrp 1 {}", "ln {} {}.hard", "rm {}"])
def test_the_look_from_outside_sees_a_change(change: str, tmp_path: Path) -> None:
    path = tmp_path / "watched"
    path.write_text("as it was")
    before = attempts.kept(str(path))
    assert attempts.kept(str(path)) == before
    on_machine("sh", "-c", change.replace("{}", str(path))).ok()
    assert attempts.kept(str(path)) != before


def test_every_system_call_that_has_a_number_is_tried() -> None:
    code = "\n".join((attempts.PROGRAM, *(case.attempt for case in CASES)))
    assert inside.NUMBERS.keys() == set(re.findall(r"call\(['\"](\w+)['\"]", code))


def test_no_setuid_or_setgid_file_of_the_agents_is_on_the_host(evening: Evening) -> None:
    """Only the one that root planted, which proves that the search from outside works."""
    assert evening.setid == [evening.facts["become"]]
