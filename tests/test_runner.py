"""What the runner tells the journal and, afterwards, the user; the rooms it goes through are tested by themselves."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest

import runner
from pi_agent.cli import entry_point
from pi_agent.linux import limits
from pi_agent.messages import refusal, refusals
from pi_agent.messages.refusal import EX_NOPERM, EX_UNAVAILABLE, EX_USAGE
from pi_agent.policy import accounts, policy_file, project_roots
from pi_agent.policy.project_roots import Project
from pi_agent.sandbox import self_running
from pi_agent.session import audit, configuration, guard, staging, supervision
from pi_agent.session.session_names import Session
from pi_agent.session.systemd_run import Start
from pi_agent.state import user_state
from tests.support import people
from tests.support.policies import frozen


class Launch:
    """A launch through rooms that do nothing. changed: what the watch finds afterwards."""

    def __init__(self, tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.told: list[tuple[Any, ...]] = []
        self.commands: list[list[str]] = []
        self.changed = [".envrc"]
        self.terminal = True
        self.monkeypatch = monkeypatch
        self.session = Session("u.service", str(tmp))
        own = Project("/home/alice/p", os.open(tmp, os.O_PATH), "/home/alice/p/demo")
        monkeypatch.setenv("SUDO_UID", "1000")
        for room, name, stand_in in (
            (limits, "drop_inherited", lambda: None),
            (policy_file, "load", lambda path: frozen()),
            (accounts, "through_sudo", lambda frozen, environ: people.alice("/home/alice")),
            (accounts, "agent", lambda frozen: people.agent("/")),
            (project_roots, "locate", lambda frozen, user: own),
            (user_state, "open_state", lambda frozen, agent, name: None),
            (configuration, "bring_up", lambda *arguments, **options: None),
            (guard, "opened", self.opened),
            (staging, "stage", self.stage),
            (self_running, "watch", lambda *arguments: lambda: [*self.note("looked"), *self.changed]),
            (supervision, "conduct", self.conduct),
            (audit, "started", lambda facts: self.note("started", dict(facts))),
            (audit, "ended", lambda facts, outcome: self.note("ended", dict(facts), outcome)),
            (audit, "refused", lambda facts, status, why: self.note("refused", dict(facts), status, why)),
        ):
            monkeypatch.setattr(room, name, stand_in)

    def note(self, *entry: Any) -> list[str]:
        self.told.append(entry)
        return []

    @contextmanager
    def opened(self, tools: object, user: str, uid: int) -> Iterator[Session]:
        yield self.session
        self.note("gone")

    def stage(self, *arguments: Any) -> Start:
        self.commands.append(arguments[-3])
        return Start([], {}, self.terminal)

    def conduct(
        self, tools: object, own: Session, start: Start, meanwhile: Callable[[], None], lap: entry_point.Lap
    ) -> int:
        self.note("conducted")
        meanwhile()
        lap("session run")
        return 7

    def refuse(self, room: Any, name: str, refusal: refusal.Refusal) -> None:
        def refusing(*arguments: Any, **options: Any) -> None:
            raise refusal

        self.monkeypatch.setattr(room, name, refusing)

    def run(self, *arguments: str) -> int:
        self.monkeypatch.setattr(sys, "argv", ["runner", *arguments])
        return entry_point.run("pi", runner.main)


@pytest.fixture
def launch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Launch:
    return Launch(tmp_path, monkeypatch)


_FACTS = {"POLICY": runner.POLICY, "HOST_USER": "alice", "PROJECT_ROOT": "/home/alice/p"}
_BEGUN = {**_FACTS, "UNIT": "u.service"}


def test_a_session_is_told_to_the_journal_and_what_it_left_to_the_user(
    launch: Launch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert launch.run("-p", "hunter2") == 7
    assert launch.told == [
        ("conducted",), ("started", _BEGUN), ("ended", _BEGUN, "7"), ("gone",), ("looked",),
    ]  # fmt: skip
    assert "hunter2" not in str(launch.told)
    said = capfd.readouterr().err
    assert said.startswith("pi: during this session") and said.endswith("      .envrc\n")


def test_what_changed_is_told_only_at_a_terminal_and_only_if_there_is_something(
    launch: Launch, capfd: pytest.CaptureFixture[str]
) -> None:
    launch.changed = []
    launch.run()
    launch.terminal, launch.changed = False, [".envrc"]
    launch.run()
    launch.terminal = True
    launch.run("--version")
    assert capfd.readouterr().err == ""
    assert launch.told.count(("looked",)) == 1
    without = {name: value for name, value in _BEGUN.items() if name != "PROJECT_ROOT"}
    assert ("ended", without, "7") in launch.told


@pytest.mark.parametrize(
    ("room", "name", "known"),
    [
        (policy_file, "load", {}),
        (accounts, "through_sudo", {"HOST_USER": "1000"}),
        (project_roots, "locate", {"HOST_USER": "alice"}),
        (staging, "stage", _BEGUN),
        (supervision, "conduct", _BEGUN),
    ],
)
def test_a_refusal_is_told_with_what_was_known_by_then(
    launch: Launch, room: Any, name: str, known: dict[str, str]
) -> None:
    launch.refuse(room, name, refusals.directory_gone("/x"))
    assert launch.run("-p", "hunter2") == EX_NOPERM
    assert launch.told[-1] == (
        "refused", {"POLICY": runner.POLICY, **known}, EX_NOPERM, refusals.directory_gone("/x").what,
    )  # fmt: skip
    assert "ended" not in {entry[0] for entry in launch.told}


def test_a_session_that_began_and_did_not_come_to_run_pi_is_refused_in_the_journal(launch: Launch) -> None:
    def conduct(tools: object, own: Session, start: Start, meanwhile: Callable[[], None], lap: entry_point.Lap) -> int:
        meanwhile()
        raise refusals.session_not_started(own.unit)

    launch.monkeypatch.setattr(supervision, "conduct", conduct)
    assert launch.run() == EX_UNAVAILABLE
    assert [entry[0] for entry in launch.told] == ["started", "refused"]
    assert [entry[1] for entry in launch.told] == [_BEGUN, _BEGUN]


def test_what_runs_inside_is_pi_with_the_policys_arguments_first(launch: Launch) -> None:
    launch.monkeypatch.setattr(policy_file, "load", lambda path: frozen(extraRunArgs=["--extra"]))
    launch.run("-p", "--sandbox-shell")
    assert launch.commands == [["/nix/store/pi/bin/pi", "--extra", "-p", "--sandbox-shell"]]


def test_for_a_shell_it_is_the_policys_shell_and_all_else_is_as_for_pi(launch: Launch) -> None:
    launch.run("-p", "x")
    for_pi = [*launch.told]
    launch.told.clear()
    assert launch.run("--sandbox-shell") == 7
    assert launch.told == for_pi
    assert launch.commands[1] == ["/nix/store/bash/bin/bash"]


_STEPS = ("start", "policy", "caller", "project", "state", "guard", "provenance", "session run", "session end", "rest")


def test_who_asks_where_the_time_goes_is_told_after_the_same_launch(
    launch: Launch, capfd: pytest.CaptureFixture[str]
) -> None:
    launch.run("-p", "x")
    told, said = [*launch.told], capfd.readouterr().err
    launch.told.clear()
    assert launch.run("--sandbox-timing", "-p", "x") == 7
    assert (launch.told, launch.commands[1]) == (told, launch.commands[0])
    table = capfd.readouterr().err.removeprefix(said).splitlines()
    assert table[0] == "pi: where the time of this launch went, in milliseconds:"
    assert [line.rpartition(" ")[0].strip() for line in table[1:]] == [*_STEPS, "total"]


def test_programs_are_told_in_one_line_of_json(launch: Launch, capfd: pytest.CaptureFixture[str]) -> None:
    launch.changed = []
    assert launch.run("--sandbox-timing=json", "--sandbox-shell") == 7
    assert launch.commands == [["/nix/store/pi/bin/pi", "--sandbox-shell"]]
    [line] = capfd.readouterr().err.splitlines()
    told = orjson.loads(line)
    assert [step["name"] for step in told["steps"]] == [*_STEPS]
    assert sum(step["seconds"] for step in told["steps"]) == pytest.approx(told["seconds"], abs=1e-4)


@pytest.mark.parametrize(
    ("room", "name", "done"), [(policy_file, "load", 1), (accounts, "through_sudo", 2), (staging, "stage", 6)]
)
def test_of_a_refused_launch_the_steps_until_then_are_told_after_the_refusal(
    launch: Launch, capfd: pytest.CaptureFixture[str], room: Any, name: str, done: int
) -> None:
    launch.refuse(room, name, refusals.directory_gone("/x"))
    assert launch.run("--sandbox-timing=json") == EX_NOPERM
    *refusal, line = capfd.readouterr().err.splitlines()
    assert refusal[0] == f"pi: {refusals.directory_gone('/x').what}"
    assert [step["name"] for step in orjson.loads(line)["steps"]] == [*_STEPS[:done], "rest"]


def test_help_is_the_wrappers_but_who_asks_the_runner_is_answered(
    launch: Launch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert launch.run("--sandbox-help") == 0
    assert launch.run("--sandbox-shell", "--help") == 0
    said = capfd.readouterr()
    assert "--sandbox-shell" in said.out and "usage: pi --sandbox-shell" in said.out
    assert said.err == "" and launch.told == [] and launch.commands == []


def test_a_command_that_there_is_not_is_refused_and_starts_nothing(
    launch: Launch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert launch.run("--sandbox-hunter2") == EX_USAGE
    assert "--sandbox-hunter2" in capfd.readouterr().err
    ((event, _facts, status, why),) = launch.told
    assert (event, status) == ("refused", EX_USAGE)
    assert "hunter2" not in why, "no argument gets into the journal"
