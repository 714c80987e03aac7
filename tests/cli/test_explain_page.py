"""The report of a plan as a page for people: a pure function of the facts."""

from __future__ import annotations

from pathlib import Path

import pytest

from pi_agent.cli import explain_facts, explain_page
from pi_agent.cli.explain_facts import Facts
from pi_agent.messages import explain_texts as texts
from pi_agent.messages import refusals
from pi_agent.policy.project_roots import Root
from tests.support import policies
from tests.support.launching import Launching
from tests.support.trees import put, write


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Launching:
    options = policies.sandbox(protectedPaths=[".git/hooks"], hiddenPaths=["projects/.ssh"])
    made = Launching(tmp_path, monkeypatch, sandbox=options, settings={"theme": "nix"})
    monkeypatch.chdir(made.root)
    return made


def facts(here: Launching) -> Facts:
    plan = here.plan()
    return (
        explain_facts.opening(here.policy, "alice")
        | explain_facts.of_roots(
            [Root("~/projects", str(here.root), None, None), Root("~/gone", None, None, "no such")]
        )
        | explain_facts.of_request(plan.request)
        | explain_facts.of_plan(plan)
    )


def mapped(place: str) -> str:
    """How a line ends that shows a place of the host's at the same place, with owners mapped."""
    return texts.mount(place, place, mapped=True).removeprefix(place)


def line_of(page: list[str], label: str) -> str:
    """The first line with that label, with runs of spaces joined."""
    [first, *_] = [line for line in page if line.strip().startswith(label)]
    return " ".join(first.split())


def test_an_allowed_launch_is_told_section_by_section(here: Launching) -> None:
    put(here.root / ".git/hooks/x")
    put(here.root / ".ssh/id")
    write(here.host / ".env", "IN=1")
    write(here.host / "skills/x", "x")
    page = explain_page.rendered(facts(here))
    sections = [line for line in page if line and not line.startswith(" ")]
    assert sections == [
        texts.title("pi", str(here.root)), texts.VISIBLE, texts.CONFIGURATION, texts.ENVIRONMENT, texts.PROPERTIES,
    ]  # fmt: skip
    assert line_of(page, texts.ALLOWED) == f"{texts.ALLOWED} {texts.allowed('alice', str(here.root))}"
    assert line_of(page, "protected") == "protected .git/hooks"
    assert line_of(page, "hidden") == "hidden .ssh"
    assert line_of(page, "from Nix") == "from Nix theme"
    assert line_of(page, "files") == "files copy 1: skills/x; make 1: skills"
    assert line_of(page, "variables") == f"variables {here.host}/.env (host .env): 1"
    assert [line for line in page if line.endswith(mapped(str(here.root)))]
    assert [line for line in page if texts.root("~/projects", str(here.root), None, chosen=True) in line]
    assert [line for line in page if texts.root("~/gone", None, "no such", chosen=False) in line]


def test_where_nothing_changes_that_is_told(here: Launching) -> None:
    told = facts(here)
    told["configuration"]["documents"] = {"auth.json": {"set": [], "remove": [], "unreadable": None}}
    told["state"] |= {"make": [], "write": []}
    page = explain_page.rendered(told)
    assert line_of(page, "auth.json") == "auth.json no change"
    assert line_of(page, "files") == "files no change"
    assert line_of(page, "state, to make") == "state, to make nothing"
    assert line_of(page, "protected") == "protected -"


def test_what_a_document_loses_and_one_that_is_kept_aside_are_told(here: Launching) -> None:
    told = facts(here)
    told["configuration"]["documents"] = {
        "settings.json": {"set": ["a.b"], "remove": ["c"], "unreadable": "it is broken"},
    }
    said = line_of(explain_page.rendered(told), "settings.json")
    assert said == "settings.json is kept aside (it is broken), sets a.b, removes c"


def test_of_many_files_some_are_named_and_the_rest_is_counted(here: Launching) -> None:
    for number in range(9):
        write(here.host / f"skills/{number}", "x")
    assert line_of(explain_page.rendered(facts(here)), "files") == (
        "files copy 9: skills/0, skills/1, skills/2, skills/3, skills/4 and 4 more; make 1: skills"
    )


def test_notices_are_told_last(here: Launching) -> None:
    here.kernel.refuses = {"idmap"}
    told = facts(here)
    page = explain_page.rendered(told)
    assert page[-2] == texts.NOTICES and page[-1].strip() == told["notices"][0]
    assert not [line for line in page if line.endswith(mapped(str(here.root)))]


def test_of_a_refused_launch_only_what_is_known_is_told(here: Launching) -> None:
    known = explain_facts.opening(here.policy, "alice")
    page = explain_page.rendered(explain_facts.refused(known, refusals.user_not_listed("alice")))
    assert line_of(page, "refused") == (f"{texts.REFUSED} {texts.refused(77, refusals.user_not_listed('alice').what)}")
    assert len([line for line in page if line and not line.startswith(" ")]) == 1
    assert any("m3ta.pi-agent.hostUsers" in line for line in page)


def test_words_are_broken_where_a_line_gets_long_and_none_gets_lost(here: Launching) -> None:
    write(here.host / ".env", "".join(f"VARIABLE_{number}=1\n" for number in range(80)))
    lines = [line for line in explain_page.rendered(facts(here)) if "VARIABLE_" in line]
    assert 10 < len(lines) < 40
    assert max(map(len, lines)) <= 110
    words = " ".join(lines).split()
    assert [word for word in words if word.startswith("VARIABLE_")] == sorted(f"VARIABLE_{n}" for n in range(80))
