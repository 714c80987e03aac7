"""`--sandbox-explain`: reports the plan of a launch. What it reports: tests/cli/test_explain_facts.py."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import orjson
import pytest

from pi_agent.cli import explain_facts, explain_page, parsing
from pi_agent.cli.call import Call
from pi_agent.cli.commands import explain
from pi_agent.messages.refusal import EX_CONFIG, EX_DATAERR, EX_NOPERM, Refusal
from pi_agent.policy import accounts
from tests.support import policies
from tests.support.launching import Launching
from tests.support.limits import open_descriptors
from tests.support.policies import USER, host_user
from tests.support.trees import put, snapshot, statuses, write

Json = dict[str, Any]
_EVIL = "a\x1b[2J\nb\u202e"


class Explained(Launching):
    """alice in her project. Her launches are explained."""

    def __init__(self, top: Path, monkeypatch: pytest.MonkeyPatch, **overrides: Any) -> None:
        options = policies.sandbox(protectedPaths=[".git/hooks", ".envrc"], hiddenPaths=["projects/.ssh"])
        users = {USER: host_user("~/projects", "~/gone")}
        super().__init__(top, monkeypatch, hostUsers=users, sandbox=options, **overrides)
        monkeypatch.chdir(self.root)

    def tell(self, capfd: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
        """The status and the output."""
        before = open_descriptors()
        invocation = parsing.parse(["--sandbox-explain", *words], "pi")
        status = explain.run(Call(self.policy, self.accounts, invocation))
        told = capfd.readouterr()
        assert told.err == ""
        assert len(open_descriptors()) <= len(before) + 4, "the roots and the state: they end with the process"
        return status, told.out

    def json(self, capfd: pytest.CaptureFixture[str]) -> Json:
        """The same as a JSON object."""
        status, text = self.tell(capfd, "--json")
        value: Json = orjson.loads(text)
        assert value["status"] == status and value["allowed"] is (status == 0)
        return value


@pytest.fixture
def it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Explained:
    return Explained(tmp_path, monkeypatch, settings={"theme": "nix"}, environment={"A": "secret"})


def fill(it: Explained) -> None:
    """Give every part of the plan something to report."""
    put(it.root / ".git/hooks/pre-commit")
    write(it.host / "settings.json", {"model": "secret"})
    write(it.host / "auth.json", {"provider": {"key": "secret"}})
    write(it.host / ".env", "IN=secret\nA=host")
    for number in range(9):
        write(it.host / f"skills/{number}", "x")


@pytest.mark.parametrize("there", [True, False])
def test_nothing_is_changed_nor_attached_whether_there_is_a_state_or_not(
    it: Explained, capfd: pytest.CaptureFixture[str], there: bool
) -> None:
    fill(it)
    if there:
        write(it.isolated / "AGENTS.md", "gone on the host")
    before = snapshot(it.state), statuses(it.state), statuses(it.home)
    for words in ([], ["--json"]):
        assert it.tell(capfd, *words)[0] == 0
    assert (snapshot(it.state), statuses(it.state), statuses(it.home)) == before
    assert it.kernel.attached() == {} and it.bin.calls() == [] and it.journal == []
    assert not it.staging.exists()


def test_what_is_told_is_the_plan_of_the_same_launch(it: Explained, capfd: pytest.CaptureFixture[str]) -> None:
    fill(it)
    told = it.json(capfd)
    planned = explain_facts.of_plan(it.plan())
    for name in planned.keys() - {"unit"}:
        assert told[name] == planned[name], name
    number = planned["unit"]["name"].removeprefix("pi-agent-alice-").removesuffix(".service")
    assert [each.replace(number, "ID") for each in planned["unit"]["properties"]] == told["unit"]["properties"]
    assert told["root"] == str(it.root)
    assert [root["configured"] for root in told["roots"]] == ["~/projects", "~/gone"]


def test_people_get_the_same_as_a_page(it: Explained, capfd: pytest.CaptureFixture[str]) -> None:
    fill(it)
    assert it.tell(capfd)[1].splitlines() == explain_page.rendered(it.json(capfd))


def test_no_value_is_told(it: Explained, capfd: pytest.CaptureFixture[str]) -> None:
    fill(it)
    for words in ([], ["--json"]):
        status, text = it.tell(capfd, *words)
        assert status == 0 and "secret" not in text
        assert "provider" in text and "IN" in text


def test_names_are_harmless(it: Explained, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    put(it.root / _EVIL / ".git/hooks/x")
    put(it.root / os.fsdecode(b"\xff") / ".git/hooks/x")
    write(it.host / f"skills/0{_EVIL}", "x")
    write(it.host / "settings.json", {_EVIL: 1})
    monkeypatch.chdir(it.root / _EVIL)
    for words in ([], ["--json"]):
        status, text = it.tell(capfd, *words)
        assert status == 0
        assert all(line.isprintable() for line in text.split("\n"))
        assert "\\x1b[2J\\nb\\u202e" in text.replace("\\\\", "\\") and "\\xff" in text


# -- refusals


def test_outside_of_all_roots_the_roots_and_the_remedy_are_told(
    it: Explained, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (it.top / "elsewhere").mkdir()
    monkeypatch.chdir(it.top / "elsewhere")
    told = it.json(capfd)
    assert (told["status"], told["root"]) == (EX_NOPERM, None)
    assert told["roots"] == [
        {"configured": "~/projects", "path": str(it.root), "unusable": None},
        {"configured": "~/gone", "path": None, "unusable": "No such file or directory"},
    ]
    assert told["mounts"] is told["unit"] is told["configuration"] is None
    status, text = it.tell(capfd)
    assert status == EX_NOPERM
    assert "projectRoots = [" in text and "cannot be used, No such file" in text


def test_a_launch_that_would_be_refused_is_told_with_its_status(
    it: Explained, capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(it.host / "auth.json", '{"key": "secret"')
    with pytest.raises(Refusal) as caught:
        it.plan()
    told = it.json(capfd)
    assert told["status"] == caught.value.status == EX_DATAERR and told["root"] == str(it.root)
    assert told["refusal"] == {"what": caught.value.what, "remedy": caught.value.remedy}
    assert "secret" not in str(told["refusal"])
    (tmp_path / "other").mkdir()
    other = Explained(tmp_path / "other", monkeypatch, environmentFiles=["/nonexistent/x"])
    assert other.json(capfd)["status"] == EX_CONFIG


def test_in_the_wrapper_only_who_is_refused_is_answered(
    it: Explained, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    invocation = parsing.parse(["--sandbox-explain", "--json"], "pi")
    monkeypatch.setattr(os, "getuid", lambda: 65534)
    assert explain.on_host(it.policy, invocation) == EX_NOPERM
    told = orjson.loads(capfd.readouterr().out)
    assert (told["user"], told["allowed"]) == ("nobody", False)
    assert told.keys() == it.json(capfd).keys()
    monkeypatch.setattr(accounts, "by_uid", lambda policy, uid: it.caller)
    assert explain.on_host(it.policy, invocation) == ["--sandbox-explain", "--json"]
