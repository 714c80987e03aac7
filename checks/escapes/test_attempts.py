"""Every attempt of the table is made inside, and denied as expected; its control shows that it was a real one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from scenarios.guest import Json, demo

from escapes import world
from escapes.case import PROMISES, Case, matches
from escapes.table import CASES


@dataclass(frozen=True, slots=True)
class Evening:
    """What came of all attempts: answers inside, answers of the controls, and what is otherwise outside than before."""

    answers: world.Answers
    controls: world.Answers
    different: frozenset[str]
    setid: list[str]
    planted: str


def _watched(case: Case, facts: Json) -> str:
    return facts["policy"] if case.unchanged == "POLICY" else case.unchanged


@pytest.fixture(scope="module")
def evening(known_module: None) -> Iterator[Evening]:
    """Make them all: first the attempts, then a look from outside, then the controls."""
    with world.standing() as facts:
        watched = {path: world.kept(path) for case in CASES if (path := case.absent or _watched(case, facts))}
        answers = world.made(CASES, facts)
        different = frozenset(path for path, before in watched.items() if world.kept(path) != before)
        setid = world.setid_below(demo("alice"))
        yield Evening(answers, world.controls(CASES, facts), different, setid, facts["become"])


def test_names_are_unique_and_promises_known() -> None:
    assert len({case.id for case in CASES}) == len(CASES)
    assert {case.promise for case in CASES} <= set(PROMISES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_denied(case: Case, evening: Evening, request: pytest.FixtureRequest) -> None:
    answer, control = evening.answers[case.id], evening.controls[case.id]
    request.node.user_properties.append(("answer", answer))
    assert matches(control, case.control.gives), f"control: {control}, where an attempt gives {case.control.gives}"
    assert matches(answer, case.denied), f"answer: {answer}, where a denial is one of {case.denied}"
    for path in filter(None, (case.absent, case.unchanged)):
        assert path not in evening.different, f"{path} is not as it was"


def test_no_setuid_or_setgid_file_of_the_agents_is_on_the_host(evening: Evening) -> None:
    """Only the one that root planted: without it, the look from outside might be blind."""
    assert evening.setid == [evening.planted]
