"""Files of the project that belong to an agent on disk, as `--sandbox-explain` tells of them."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from pi_agent.cli import explain_page, explain_strays
from pi_agent.cli.explain_facts import Facts
from pi_agent.linux.identities import Identity
from pi_agent.policy.accounts import Accounts
from tests.support.launching import Launching
from tests.support.people import being_nobody, give_to_nobody, needs_root
from tests.support.policies import replaced
from tests.support.trees import put

pytestmark = needs_root
_AGENT, _OWNER = 61111, 61112


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Launching:
    made = Launching(tmp_path, monkeypatch)
    put(made.root / "demo/README", "alice's")
    return made


def look(here: Launching) -> Facts:
    request = here.request()
    agent, owner = (Identity(name, uid, uid, (uid,), "/") for name, uid in (("robot", _AGENT), ("keeper", _OWNER)))
    accounts = Accounts(request.accounts.caller, agent, owner)
    found: Facts = explain_strays.look(replaced(request, accounts=accounts))["of_agents"]
    return found


def give(path: Path, uid: int) -> None:
    put(path, "x")
    os.chown(path, uid, uid)


def test_where_everything_is_the_users_there_is_nothing_to_tell(here: Launching) -> None:
    assert look(here) == {"count": 0, "first": [], "complete": True, "remedy": []}


def test_files_of_the_agent_and_of_the_owner_are_named_with_a_command_for_each(here: Launching) -> None:
    give(here.root / "demo/of agent", _AGENT)
    give(here.root / "deep/er/of-owner", _OWNER)
    give(here.root / "of-somebody", 61113)
    command = "sudo chown --recursive --no-dereference --from={} alice: " + str(here.root)
    assert look(here) == {
        "count": 2,
        "first": [f"{here.root}/deep/er/of-owner", f"{here.root}/demo/of agent"],
        "complete": True,
        "remedy": [command.format("robot"), command.format("keeper")],
    }


def test_many_files_are_counted_and_hostile_names_are_harmless(here: Launching) -> None:
    for number in range(9):
        give(here.root / f"demo/{number}\x1b[2J", _AGENT)
    found = look(here)
    assert found["count"] == 9 and len(found["first"]) == 5
    assert "\x1b" not in str(found["first"])


def test_links_are_not_followed(here: Launching, tmp_path: Path) -> None:
    give(tmp_path / "outside/of-agent", _AGENT)
    (here.root / "link").symlink_to(tmp_path / "outside")
    assert look(here)["count"] == 0


def test_more_than_can_be_looked_at_is_told(here: Launching, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(5):
        put(here.root / f"demo/{number}", "x")
    monkeypatch.setattr(explain_strays, "_ENTRIES_AT_MOST", 3)
    assert look(here)["complete"] is False
    monkeypatch.setattr(explain_strays, "_ENTRIES_AT_MOST", 1000)
    assert look(here)["complete"] is True
    monkeypatch.setattr(time, "monotonic", iter(range(0, 1000, 3)).__next__)
    assert look(here)["complete"] is False


def test_what_the_user_cannot_enter_is_told(ordinary: Path) -> None:
    closed = ordinary / "closed"
    closed.mkdir(mode=0)
    project = os.open(ordinary, os.O_PATH)
    with being_nobody():
        assert explain_strays._owned_by([_AGENT], project) == ({}, False)
    os.chmod(closed, 0o700)
    give_to_nobody(closed)
    assert explain_strays._owned_by([_AGENT], project) == ({}, True)
    os.close(project)


def test_the_page_names_them_and_the_commands(here: Launching) -> None:
    told = {"count": 7, "first": ["/p/a", "/p/b"], "complete": False, "remedy": ["sudo chown x"]}
    page = explain_page._Page()
    explain_page._of_agents(page, told)
    text = "\n".join(page.lines)
    assert "/p/a, /p/b and 5 more" in text and "sudo chown x" in text and "could be searched" in text
