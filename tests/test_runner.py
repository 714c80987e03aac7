"""The runner, from its arguments to its exit status: what runs, what the journal records and what the user sees.

Everything is real except sudo, systemd, the kernel's mounts and journald.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest

from pi_agent.messages import command_output
from pi_agent.messages.refusal import EX_CONFIG, EX_NOPERM, EX_UNAVAILABLE, EX_USAGE
from tests.support.people import needs_root
from tests.support.runners import Runner
from tests.support.staged import left_in
from tests.support.trees import write


@pytest.fixture
def it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Runner:
    return Runner(tmp_path, monkeypatch)


def known_in(entry: dict[str, str]) -> dict[str, str]:
    """What a journal entry records about the launch."""
    names = {"PI_AGENT_POLICY": "policy", "PI_AGENT_HOST_USER": "user", "PI_AGENT_PROJECT_ROOT": "root"}
    return {names[name]: value for name, value in entry.items() if name in names}


@needs_root
def test_a_launch_is_told_to_the_journal_and_ends_with_pis_status(
    it: Runner, capfd: pytest.CaptureFixture[str]
) -> None:
    it.unit(status=7)
    assert it.run("-p", "hunter2") == 7
    assert it.command() == (it.policy.program, "-p", "hunter2")
    assert it.asked().directory == str(it.directory)
    assert it.events() == ["start", "end"]
    for entry in it.journal:
        assert known_in(entry) == {"policy": str(it.file), "user": "alice", "root": str(it.root)}
        assert entry["PI_AGENT_UNIT"].startswith("pi-agent-alice-")
    assert it.journal[1]["PI_AGENT_OUTCOME"] == "7"
    assert "hunter2" not in str(it.journal) and "hunter2" not in "".join(it.bin.calls("systemd_run"))
    assert capfd.readouterr().err == ""
    assert left_in(it.staging) == []


@needs_root
def test_two_launches_are_two_sessions(it: Runner) -> None:
    it.run()
    it.run()
    assert len({entry["PI_AGENT_UNIT"] for entry in it.journal}) == 2


@needs_root
def test_for_help_and_version_there_is_no_project(it: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")
    assert it.run("--version") == 0
    assert it.command() == (it.policy.program, "--version")
    assert known_in(it.journal[0]) == {"policy": str(it.file), "user": "alice"}


@needs_root
def test_what_runs_inside_is_pi_with_the_policys_arguments_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    it = Runner(tmp_path, monkeypatch, extraRunArgs=["--extra"])
    it.run("-p", "--sandbox-shell")
    assert it.command() == (it.policy.program, "--extra", "-p", "--sandbox-shell")


@needs_root
def test_for_a_shell_it_is_the_policys_shell_and_all_else_is_as_for_pi(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    it = Runner(tmp_path, monkeypatch, extraRunArgs=["--extra"])
    it.unit(status=7)
    it.run("-p", "x")
    it.journal.clear()
    assert it.run("--sandbox-shell") == 7
    assert it.command() == (it.policy.shell,)
    assert it.events() == ["start", "end"]
    assert known_in(it.journal[0]) == {"policy": str(it.file), "user": "alice", "root": str(it.root)}


# -- refusals


def _break_the_policy(it: Runner) -> None:
    it.file.write_text("{}")


def _be_somebody(it: Runner) -> None:
    it.ask_as("3999999999")


def _leave_the_roots(it: Runner) -> None:
    it.monkeypatch.chdir(it.home)


def _break_the_configuration(it: Runner) -> None:
    write(it.host / "settings.json", "broken")


def _break_the_mounts(it: Runner) -> None:
    it.kernel.refuses = {"new"}


def _break_systemd(it: Runner) -> None:
    it.unit(status=1, starts=False)


_REFUSALS: list[tuple[Callable[[Runner], None], int, set[str], list[str]]] = [
    (_break_the_policy, EX_CONFIG, set(), ["refused"]),
    (_be_somebody, EX_NOPERM, {"user"}, ["refused"]),
    (_leave_the_roots, EX_NOPERM, {"user"}, ["refused"]),
    (_break_the_configuration, 65, {"user", "root"}, ["refused"]),
    (_break_the_mounts, EX_UNAVAILABLE, {"user", "root"}, ["start", "refused"]),
    (_break_systemd, EX_UNAVAILABLE, {"user", "root"}, ["start", "refused"]),
]


@needs_root
@pytest.mark.parametrize(("breaking", "status", "known", "events"), _REFUSALS)
def test_a_refusal_is_told_to_the_user_and_to_the_journal_with_what_was_known_by_then(
    it: Runner,
    capfd: pytest.CaptureFixture[str],
    breaking: Callable[[Runner], None],
    status: int,
    known: set[str],
    events: list[str],
) -> None:
    breaking(it)
    assert it.run("-p", "hunter2") == status
    assert it.events() == events
    entry = it.journal[-1]
    assert known_in(entry).keys() == {"policy"} | known
    planned = breaking in (_break_the_mounts, _break_systemd)
    assert ("PI_AGENT_UNIT" in entry) is planned
    assert entry["PI_AGENT_OUTCOME"] == str(status)
    if "user" in known:
        assert entry["PI_AGENT_HOST_USER"] == ("3999999999" if breaking is _be_somebody else "alice")
    what = capfd.readouterr().err.splitlines()[0].removeprefix("pi: ")
    assert entry["MESSAGE"] == f"refused: {what}"
    assert "hunter2" not in str(it.journal)


@needs_root
def test_of_a_launch_that_the_machine_fails_nothing_looks_like_a_bug(
    it: Runner, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "urandom", failing)
    assert it.run() == EX_UNAVAILABLE
    assert "the system failed: Input/output error" in capfd.readouterr().err
    assert it.events() == ["refused"]


# -- where the time goes

_STEPS = (
    "start", "policy", "caller", "project", "state", "environment", "sync", "mounts", "sandbox", "guard", "provenance",
    "session start", "session run", "session end", "rest",
)  # fmt: skip


@needs_root
def test_who_asks_where_the_time_goes_is_told_after_the_same_launch(
    it: Runner, capfd: pytest.CaptureFixture[str]
) -> None:
    it.unit(status=7)
    it.run("-p", "x")
    command, events = it.command(), it.events()
    it.journal.clear()
    assert capfd.readouterr().err == ""
    assert it.run("--sandbox-timing", "-p", "x") == 7
    assert (it.command(), it.events()) == (command, events)
    table = capfd.readouterr().err.splitlines()
    assert table[0] == f"pi: {command_output.STEPS_TITLE}"
    assert [line.rpartition(" ")[0].strip() for line in table[1:]] == [*_STEPS, "total"]


@needs_root
def test_programs_are_told_in_one_line_of_json(it: Runner, capfd: pytest.CaptureFixture[str]) -> None:
    assert it.run("--sandbox-timing=json", "--sandbox-shell") == 0
    assert it.command() == (it.policy.program, "--sandbox-shell")
    [line] = capfd.readouterr().err.splitlines()
    told = orjson.loads(line)
    assert [step["name"] for step in told["steps"]] == [*_STEPS]
    assert sum(step["seconds"] for step in told["steps"]) == pytest.approx(told["seconds"], abs=1e-4)


@pytest.mark.parametrize(
    ("breaking", "done"),
    [(_break_the_policy, 1), (_be_somebody, 2), (_leave_the_roots, 3), (_break_the_configuration, 6)],
)
def test_of_a_refused_launch_the_steps_until_then_are_told_after_the_refusal(
    it: Runner, capfd: pytest.CaptureFixture[str], breaking: Callable[[Runner], None], done: int
) -> None:
    breaking(it)
    assert it.run("--sandbox-timing=json") != 0
    first, *_, line = capfd.readouterr().err.splitlines()
    assert first.startswith("pi: ")
    assert [step["name"] for step in orjson.loads(line)["steps"]] == [*_STEPS[:done], "rest"]


# -- the commands that Pi does not have


def test_help_is_the_wrappers_but_who_asks_the_runner_is_answered(
    it: Runner, capfd: pytest.CaptureFixture[str]
) -> None:
    assert it.run("--sandbox-help") == 0
    assert it.run("--sandbox-shell", "--help") == 0
    said = capfd.readouterr()
    assert "--sandbox-shell" in said.out and "usage: pi --sandbox-shell" in said.out
    assert said.err == "" and it.journal == [] and it.bin.calls() == []


def test_a_command_that_there_is_not_is_refused_and_starts_nothing(
    it: Runner, capfd: pytest.CaptureFixture[str]
) -> None:
    assert it.run("--sandbox-hunter2") == EX_USAGE
    assert "--sandbox-hunter2" in capfd.readouterr().err
    [entry] = it.journal
    assert (entry["PI_AGENT_EVENT"], entry["PI_AGENT_OUTCOME"]) == ("refused", str(EX_USAGE))
    assert "hunter2" not in str(entry), "no argument gets into the journal"
    assert it.bin.calls() == []


def test_explaining_starts_nothing_and_is_nothing_for_the_journal(
    it: Runner, capfd: pytest.CaptureFixture[str]
) -> None:
    assert it.run("--sandbox-explain", "--json") == 0
    assert orjson.loads(capfd.readouterr().out)["unit"]["name"] == "pi-agent-alice-ID.service"
    assert it.journal == [] and it.bin.calls() == [] and not it.tree.exists()
