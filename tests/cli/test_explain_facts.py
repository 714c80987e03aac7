"""The report of a plan as one object: pure functions of the plan."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from pi_agent.cli import explain_facts
from pi_agent.cli.explain_facts import Facts
from pi_agent.environment import variable_layers
from pi_agent.messages import refusals
from pi_agent.policy.project_roots import Root
from pi_agent.sandbox import prepared_root
from pi_agent.sandbox.system_directories import COMPILE_CACHE
from pi_agent.session.launch_plan import Plan
from tests.support import policies
from tests.support.launching import Launching
from tests.support.people import needs_root
from tests.support.trees import put, write

_EVIL = "a\x1b[2J\nb\u202e"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Launching:
    options = policies.sandbox(protectedPaths=[".git/hooks", ".envrc"], hiddenPaths=["projects/.ssh"])
    made = Launching(
        tmp_path, monkeypatch,
        sandbox=options, settings={"theme": "nix", "terminal": {"x": 1}}, environment={"A": "secret"},
    )  # fmt: skip
    monkeypatch.chdir(made.root)
    return made


def fill(here: Launching) -> None:
    """Give every part of the plan something to report."""
    put(here.root / ".git/hooks/pre-commit")
    put(here.root / ".ssh/id")
    put(here.root / "src/.envrc")
    write(here.host / "settings.json", {"model": "secret"})
    write(here.host / "auth.json", {"provider": {"key": "secret"}})
    write(here.host / ".env", "IN=secret\nA=host")
    write(here.home / ".gitconfig", "[user]\nname = secret\n")
    for number in range(9):
        write(here.host / f"skills/{number}", "x")
    write(here.isolated / "AGENTS.md", "gone on the host")


def facts_of(plan: Plan) -> Facts:
    opening = explain_facts.opening(plan.request.policy, plan.request.accounts.caller.name)
    return opening | explain_facts.of_request(plan.request) | explain_facts.of_plan(plan)


# -- the whole


def test_an_object_has_all_its_keys_from_the_beginning_and_a_plan_fills_all_but_two(here: Launching) -> None:
    opening = explain_facts.opening(here.policy, "alice")
    told = facts_of(here.plan())
    assert opening.keys() == told.keys()
    assert {name for name, value in told.items() if value is None} == {"of_agents", "refusal", "roots"}
    assert (told["version"], told["command"], told["user"], told["agent"]) == (1, "pi", "alice", "pi-agent-alice")
    assert (told["allowed"], told["status"]) == (True, 0)
    assert told["directory"] == str(here.root)
    json.dumps(told)


def test_a_directory_that_is_gone_has_no_name(here: Launching, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = here.root / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert explain_facts.opening(here.policy, "alice")["directory"] == ""


def test_the_same_plan_is_told_in_the_same_words(here: Launching) -> None:
    fill(here)
    plan = here.plan()
    assert facts_of(plan) == facts_of(plan)


def test_a_refusal_is_told_with_its_status_and_what_was_known_stays(here: Launching) -> None:
    known = explain_facts.opening(here.policy, "alice") | explain_facts.of_request(here.request())
    told = explain_facts.refused(known, refusals.directory_gone("/x"))
    made = refusals.directory_gone("/x")
    assert (told["allowed"], told["status"]) == (False, 77)
    assert told["refusal"] == {"what": made.what, "remedy": made.remedy}
    assert told["root"] == str(here.root)
    assert known["allowed"] is True, "the object it was made of is another"


def test_each_root_is_told_and_why_it_cannot_be_used() -> None:
    roots = [Root("~/p", "/home/alice/p", 7, None), Root(f"~/{_EVIL}", None, None, "it is gone")]
    assert explain_facts.of_roots(roots)["roots"] == [
        {"configured": "~/p", "path": "/home/alice/p", "unusable": None},
        {"configured": "~/a\\x1b[2J\\nb\\u202e", "path": None, "unusable": "it is gone"},
    ]


def test_a_launch_without_a_project_has_no_root_and_no_mount_of_the_host(here: Launching) -> None:
    told = facts_of(here.plan("--version"))
    assert told["root"] is None
    assert [mount["target"] for mount in told["mounts"] if mount["writable"]] == [str(here.state), "/dev/pts"]
    assert told["configuration"]["documents"] == {} and told["configuration"]["files"] is None


# -- its parts


def test_what_is_mounted_is_told_project_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data").mkdir()
    options = policies.sandbox(readOnlyPaths=[f"{tmp_path}/data"])
    (tmp_path / "cache/node").mkdir(parents=True)
    here = Launching(tmp_path, monkeypatch, sandbox=options, compileCache=f"{tmp_path}/cache/node")
    plan = here.plan()
    first, state, terminals, data, *system, cache = facts_of(plan)["mounts"]
    assert first == {"source": str(here.root), "target": str(here.root), "writable": True, "owners_mapped": True}
    assert (state["source"], state["target"]) == (f"{here.state}/users/alice", str(here.state))
    assert state["owners_mapped"] is True and state["writable"] is True
    assert (terminals["source"], terminals["target"]) == ("devpts", "/dev/pts")
    assert terminals["owners_mapped"] is False
    assert data == {
        "source": f"{tmp_path}/data", "target": f"{tmp_path}/data", "writable": False, "owners_mapped": True,
    }  # fmt: skip
    shown = (*prepared_root.content().directories, *plan.view.system.paths)
    assert tuple(mount["target"] for mount in system) == shown
    assert (cache["source"], cache["target"]) == (f"{tmp_path}/cache/node", COMPILE_CACHE)
    assert not any(mount["writable"] for mount in (*system, cache))


def test_where_owners_are_not_mapped_that_is_told_and_the_notice_with_it(here: Launching) -> None:
    here.kernel.refuses = {"idmap"}
    plan = here.plan()
    told = facts_of(plan)
    assert not any(mount["owners_mapped"] for mount in told["mounts"])
    assert told["notices"] == plan.notices != []


def test_covers_are_told_by_their_kind(here: Launching) -> None:
    fill(here)
    (here.root / ".envrc").symlink_to("src/.envrc")
    told = facts_of(here.plan())
    assert told["protected"] == [f"{here.root}/.git/hooks", f"{here.root}/src/.envrc"]
    assert told["hidden"] == [f"{here.root}/.ssh"]
    assert told["pinned"] == [f"{here.root}/.git", f"{here.root}/src"]
    assert told["links"] == [f"{here.root}/.envrc"]


def test_what_a_launch_writes_is_told(here: Launching) -> None:
    fill(here)
    told = facts_of(here.plan())
    found = told["configuration"]
    assert found["host"] == str(here.host)
    assert found["nix_settings"] == ["terminal.x", "theme"]
    assert found["documents"]["settings.json"]["set"] == ["model", "terminal.x", "theme"]
    assert found["documents"]["auth.json"]["set"] == ["provider"]
    assert found["files"]["copy"] == {"count": 9, "first": [f"skills/{number}" for number in range(5)]}
    assert found["files"]["remove"] == {"count": 1, "first": ["AGENTS.md"]}
    assert found["env_files"] == [{"path": str(here.host / ".env"), "from": "host .env", "variables": 2}]
    assert found["git_identity"] == ["name"]
    assert told["state"]["write"] == [
        f"users/alice/{name}" for name in (".pi/.env", ".config/git/config", "projects/projects")
    ]
    assert told["state"]["make"][-1] == str(here.memory.parent) and told["state"]["exists"] is True


def test_of_a_state_that_is_not_there_all_is_to_be_made(here: Launching) -> None:
    told = facts_of(here.plan())["state"]
    assert (told["path"], told["exists"]) == (str(here.state), False)
    assert told["make"][0] == "users/alice" and "users/alice/.pi/agent/sessions" in told["make"]


@needs_root
def test_once_done_there_is_nothing_left_to_tell(here: Launching) -> None:
    fill(here)
    here.launch()
    told = facts_of(here.plan())
    assert told["state"]["make"] == told["state"]["write"] == []
    assert {what["count"] for what in told["configuration"]["files"].values()} == {0}
    for document in told["configuration"]["documents"].values():
        assert document == {"set": [], "remove": [], "unreadable": None}


def test_what_cannot_be_understood_or_is_out_of_bounds_is_told(
    here: Launching, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pi_agent.state.scans.ENTRIES_AT_MOST", 20)
    for number in range(30):
        write(here.isolated / f"skills/{number}", "x")
    write(here.isolated / "settings.json", "broken")
    found = facts_of(here.plan())["configuration"]
    assert found["files"]["move_aside"] == {"count": 1, "first": ["skills"]}
    assert found["documents"]["settings.json"]["unreadable"]


def test_each_variable_is_told_with_who_has_the_last_word_on_it(here: Launching) -> None:
    fill(here)
    plan = here.plan()
    told = facts_of(plan)["environment"]
    assert (told["IN"], told["A"], told["HOME"]) == ("host .env", "nix", "sandbox")
    assert told.keys() == variable_layers.merged(plan.layers).keys()


def test_the_unit_is_told_as_it_would_be_started(here: Launching) -> None:
    plan = here.plan()
    told = facts_of(plan)["unit"]
    assert told["properties"] == [*plan.properties]
    assert (told["name"], told["slice"]) == (plan.request.session.unit, "pi-agent.slice")


# -- what is never told


def test_of_variables_settings_and_credentials_no_value_is_told(here: Launching) -> None:
    fill(here)
    text = json.dumps(facts_of(here.plan()))
    assert "secret" not in text
    assert "provider" in text and "IN" in text


def strings_in(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [each for item in value.items() for part in item for each in strings_in(part)]
    if isinstance(value, list):
        return [each for part in value for each in strings_in(part)]
    return [value] if isinstance(value, str) else []


def test_every_string_may_be_printed(here: Launching, monkeypatch: pytest.MonkeyPatch) -> None:
    put(here.root / _EVIL / ".git/hooks/x")
    put(here.root / os.fsdecode(b"\xff") / ".git/hooks/x")
    write(here.host / f"skills/0{_EVIL}", "x")
    write(here.host / "settings.json", {_EVIL: 1})
    os.mkfifo(here.host / f"pipe{_EVIL}")
    monkeypatch.chdir(here.root / _EVIL)
    told = strings_in(facts_of(here.plan()))
    assert all(line.isprintable() for each in told for line in each.split("\n"))
    assert any("\\x1b[2J\\nb\\u202e" in each for each in told) and any("\\xff" in each for each in told)
