"""`--sandbox-explain`: the plan told, with stand-ins for the kernel's mounts."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import orjson
import pytest

from pi_agent.cli import parsing
from pi_agent.cli.commands import explain
from pi_agent.messages.refusal import EX_CONFIG, EX_DATAERR, EX_NOPERM
from pi_agent.policy import accounts, project_roots
from pi_agent.session import session_names, staging
from pi_agent.state import scans, sync
from tests.support import policies
from tests.support.bench import Bench, bench
from tests.support.calls import call_of
from tests.support.configuring import bring_up
from tests.support.fakes import Kernel
from tests.support.policies import USER, host_user
from tests.support.trees import put, snapshot, write

Json = dict[str, Any]
_EVIL = "a\x1b[2J\nb\u202e"


class Explained:
    """alice in her project, whose launches are explained."""

    def __init__(self, tmp: Path, monkeypatch: pytest.MonkeyPatch, **overrides: Any) -> None:
        self.kernel = Kernel(tmp / "kernel.log", monkeypatch)
        options = policies.sandbox(protectedPaths=[".git/hooks", ".envrc"], hiddenPaths=["projects/.ssh"])
        self.root = tmp / "home/projects"
        self.root.mkdir(parents=True)
        users = {USER: host_user("~/projects", "~/gone")}
        self.here: Bench = bench(tmp, hostUsers=users, sandbox=options, **overrides)
        self.here.host.mkdir(parents=True)
        self.top = tmp
        monkeypatch.chdir(self.root)
        monkeypatch.setattr(project_roots, "RESERVED", ())  # pytest works below /tmp

    def tell(self, capfd: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
        """The status, and what is told."""
        before = os.listdir("/proc/self/fd")
        status = explain.run(call_of(self.here, "--sandbox-explain", *words))
        told = capfd.readouterr()
        assert told.err == ""
        assert len(os.listdir("/proc/self/fd")) <= len(before) + 6, "what a process opens once ends with it"
        return status, told.out

    def json(self, capfd: pytest.CaptureFixture[str]) -> Json:
        status, text = self.tell(capfd, "--json")
        value: Json = orjson.loads(text)
        assert value["status"] == status
        return value


@pytest.fixture
def it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Explained:
    return Explained(
        tmp_path, monkeypatch, settings={"theme": "nix", "terminal": {"x": 1}}, environment={"A": "secret"}
    )


def fill(it: Explained) -> None:
    """Give all parts something to tell."""
    put(it.root / ".git/hooks/pre-commit")
    put(it.root / ".ssh/id")
    put(it.root / "src/.envrc")
    write(it.here.host / "settings.json", {"model": "secret"})
    write(it.here.host / "auth.json", {"provider": {"key": "secret"}})
    write(it.here.host / ".env", "IN=secret\nA=host")
    for number in range(9):
        write(it.here.host / f"skills/{number}", "x")
    write(it.here.isolated / "AGENTS.md", "gone on the host")


def test_nothing_is_changed_nor_attached_whether_there_is_a_state_or_not(
    it: Explained, capfd: pytest.CaptureFixture[str]
) -> None:
    fill(it)
    for gone in (None, it.here.tree):
        if gone is not None:
            os.rename(gone, it.top / "away")
        it.kernel.log.unlink(missing_ok=True)
        before = snapshot(it.top)
        told = it.json(capfd)
        it.kernel.log.unlink(missing_ok=True)
        assert snapshot(it.top) == before
        assert told["state"]["exists"] is (gone is None)
    assert it.kernel.attached() == {}
    assert f"users/{USER}/.pi/agent/sessions" in told["state"]["make"]


def test_what_a_launch_would_do_is_told_and_once_done_there_is_nothing_left(
    it: Explained, capfd: pytest.CaptureFixture[str]
) -> None:
    fill(it)
    told = it.json(capfd)
    assert told["allowed"] is True and told["root"] == str(it.root) and told["refusal"] is None
    assert told["protected"] == [f"{it.root}/.git/hooks"]
    assert told["pinned"] == [f"{it.root}/.git"]
    found = told["configuration"]
    assert found["nix_settings"] == ["terminal.x", "theme"]
    assert found["documents"]["settings.json"]["set"] == ["model", "terminal.x", "theme"]
    assert found["documents"]["auth.json"]["set"] == ["provider"]
    assert found["files"]["copy"] == {"count": 9, "first": [f"skills/{number}" for number in range(5)]}
    assert found["files"]["remove"] == {"count": 1, "first": ["AGENTS.md"]}
    assert [(each["path"], each["variables"]) for each in found["env_files"]] == [(str(it.here.host / ".env"), 2)]
    assert (told["environment"]["IN"], told["environment"]["A"]) == ("host .env", "nix")
    assert told["mounts"][0]["target"] == str(it.root) and told["mounts"][0]["owners_mapped"]
    bring_up(it.here)
    told = it.json(capfd)
    assert told["state"]["make"] == [] and told["state"]["write"] == [f"users/{USER}/projects/projects"]
    assert {what["count"] for what in told["configuration"]["files"].values()} == {0}
    for document in told["configuration"]["documents"].values():
        assert document == {"set": [], "remove": [], "unreadable": None}


def test_the_properties_are_those_that_the_same_plan_gives_a_launch(
    it: Explained, capfd: pytest.CaptureFixture[str]
) -> None:
    told = it.json(capfd)
    own = session_names.named(it.here.caller.name, it.here.caller.uid, "0123456789abcdef")
    gathered = it.here.bring_up()

    chosen = project_roots.locate(it.here.policy, it.here.caller)
    who = it.here.caller, it.here.agent
    with staging.planned(it.here.policy, own, *who, chosen, gathered, lambda _: None) as plan:
        assert [each.replace("0123456789abcdef", "ID") for each in plan.properties] == told["unit"]["properties"]


def test_no_value_is_told(it: Explained, capfd: pytest.CaptureFixture[str]) -> None:
    fill(it)
    for words in ([], ["--json"]):
        status, text = it.tell(capfd, *words)
        assert status == 0 and "secret" not in text
        assert "provider" in text and "IN" in text


def test_names_are_harmless_and_a_page_is_narrow(
    it: Explained, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(it)
    put(it.root / _EVIL / ".git/hooks/x")
    put(it.root / "\udcff/.git/hooks/x")
    write(it.here.host / f"skills/0{_EVIL}", "x")
    write(it.here.host / "settings.json", {_EVIL: 1})
    monkeypatch.chdir(it.root / _EVIL)
    for words in ([], ["--json"]):
        status, text = it.tell(capfd, *words)
        assert status == 0
        assert all(line.isprintable() for line in text.split("\n"))
        assert "\\x1b[2J\\nb\\u202e" in text.replace("\\\\", "\\") and "\\xff" in text


def test_what_is_out_of_bounds_or_closed_is_told_and_left(
    it: Explained, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scans, "ENTRIES_AT_MOST", 20)
    for number in range(30):
        write(it.here.isolated / f"skills/{number}", "x")
    write(it.here.isolated / "settings.json", "broken")
    before = snapshot(it.here.tree)
    told = it.json(capfd)
    assert told["configuration"]["files"]["move_aside"] == {"count": 1, "first": ["skills"]}
    assert told["configuration"]["documents"]["settings.json"]["unreadable"]
    assert snapshot(it.here.tree) == before
    assert "is kept aside" in it.tell(capfd)[1]


def test_an_isolated_directory_closed_to_its_owner_stays_closed(ordinary: Path) -> None:
    os.mkdir(ordinary / "shut", 0o000)
    top = os.open(ordinary, os.O_RDONLY)
    try:
        with pytest.raises(FileNotFoundError):
            sync._peek(top, "shut")
    finally:
        os.close(top)
    assert (ordinary / "shut").stat().st_mode & 0o777 == 0


def test_outside_of_all_roots_the_roots_and_the_remedy_are_told(
    it: Explained, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (it.top / "elsewhere").mkdir()
    monkeypatch.chdir(it.top / "elsewhere")
    told = it.json(capfd)
    assert (told["status"], told["allowed"], told["root"]) == (EX_NOPERM, False, None)
    assert told["roots"] == [
        {"configured": "~/projects", "path": str(it.root), "unusable": None},
        {"configured": "~/gone", "path": None, "unusable": "No such file or directory"},
    ]
    assert told["mounts"] is told["unit"] is told["configuration"] is None
    status, text = it.tell(capfd)
    assert status == EX_NOPERM
    assert "projectRoots = [" in text and "cannot be used, No such file" in text


def test_another_refusal_is_told_with_its_status(
    it: Explained, capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(it.here.host / "auth.json", '{"key": "secret"')
    told = it.json(capfd)
    assert told["status"] == EX_DATAERR and told["root"] == str(it.root)
    assert "secret" not in str(told["refusal"])
    (tmp_path / "other").mkdir()
    other = Explained(tmp_path / "other", monkeypatch, environmentFiles=["/nonexistent/x"])
    assert other.json(capfd)["status"] == EX_CONFIG


def test_in_the_wrapper_only_who_is_refused_is_answered(
    it: Explained, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    request = parsing.parse(["--sandbox-explain", "--json"], "pi")
    monkeypatch.setattr(os, "getuid", lambda: 65534)
    assert explain.on_host(it.here.policy, request) == EX_NOPERM
    told = orjson.loads(capfd.readouterr().out)
    assert (told["user"], told["allowed"]) == ("nobody", False)
    assert told.keys() == it.json(capfd).keys()
    monkeypatch.setattr(accounts, "by_uid", lambda policy, uid: it.here.caller)
    assert explain.on_host(it.here.policy, request) == ["--sandbox-explain", "--json"]
