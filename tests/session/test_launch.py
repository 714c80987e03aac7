"""Carrying out a plan: what is written, reported and logged, and that nothing of the session stays."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from pi_agent.environment import git_identity
from pi_agent.messages import notices, self_running_texts
from pi_agent.messages.refusal import EX_UNAVAILABLE, Refusal
from pi_agent.sandbox import prepared_root
from pi_agent.session import launch_plan
from tests.support import policies
from tests.support.launching import Launching
from tests.support.limits import open_descriptors
from tests.support.people import needs_root
from tests.support.policies import replaced
from tests.support.running import LISTENING, waiting
from tests.support.staged import left_in
from tests.support.trees import put, read, snapshot, statuses, write

pytestmark = needs_root


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Launching:
    return Launching(tmp_path, monkeypatch, environment={"A": "nix"})


def at_terminal(here: Launching) -> int:
    """Launch as at a terminal, where the unit gets a terminal of its own."""
    return here.carry_out(launch_plan.plan(replaced(here.request(), terminal=True)))


# -- what it does


def test_what_is_planned_is_written_and_then_there_is_nothing_left_to_write(here: Launching) -> None:
    write(here.host / "settings.json", {"a": 1})
    write(here.host / "skills/one/SKILL.md", "x")
    write(here.host / ".env", "IN=1")
    write(here.home / ".gitconfig", "[user]\nname = Alice\n")
    assert here.launch() == 0
    assert read(here.isolated / "settings.json") == {"a": 1}
    assert (here.isolated / "skills/one/SKILL.md").read_text() == "x"
    assert 'A="nix"' in (here.tree / ".pi/.env").read_text()
    assert git_identity.parsed((here.tree / ".config/git/config").read_text()) == {"name": "Alice"}
    assert os.readlink(here.tree / "projects/projects") == str(here.root)
    assert (here.isolated / "sessions").is_dir() and here.memory.exists()
    plan = here.plan()
    assert plan.state.make == () and plan.configuration.files == () and plan.configuration.link is None
    assert plan.configuration.sync is not None and plan.configuration.sync.changes_nothing


def test_a_launch_with_nothing_to_write_writes_nothing(here: Launching) -> None:
    write(here.host / "settings.json", {"a": 1})
    here.launch()
    before = statuses(here.state), snapshot(here.state)
    here.launch()
    assert (statuses(here.state), snapshot(here.state)) == before


@pytest.mark.parametrize("question", ["--help", "--version"])
def test_for_help_and_version_nothing_isolated_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, question: str
) -> None:
    here = Launching(tmp_path, monkeypatch, settings={"theme": "nix"}, environment={"A": "1"})
    here.launch()
    write(here.host / "settings.json", "broken")
    write(here.host / ".env", b"\xff")
    before = statuses(here.state)
    assert here.launch(question) == 0
    assert statuses(here.state) == before
    assert here.asked().command == (here.policy.program, question)


@pytest.mark.parametrize("status", [0, 1, 77, 130, 255])
def test_the_status_is_pis(here: Launching, status: int) -> None:
    here.unit(status=status)
    assert here.launch() == status


def test_pi_runs_as_asked_once_everything_is_attached(here: Launching) -> None:
    here.unit(f'grep -q "^attach {here.root} at " "{here.kernel.log}" || exit 9')
    assert here.launch("-p", "hunter2") == 0
    asked = here.asked()
    assert (asked.directory, asked.command) == (str(here.directory), (here.policy.program, "-p", "hunter2"))
    assert asked.variables["A"] == "nix"
    [call] = here.bin.calls("systemd_run")
    assert "hunter2" not in call


# -- what is left


def test_nothing_of_the_session_stays_and_nothing_that_the_plan_held(here: Launching) -> None:
    here.launch()
    plan = here.plan()
    before = set(open_descriptors())
    here.carry_out(plan)
    assert left_in(here.staging) == []
    for number in set(open_descriptors()) - before:
        opened = os.readlink(f"/proc/self/fd/{number}")
        watching = opened.startswith((str(here.namespace.root), str(here.root)))
        assert watching or not os.path.isabs(opened), "no more than what the covers take that are watched"
    assert here.kernel.calls("detach") == [], "nothing is mounted on the host"


def test_what_the_plan_holds_is_closed_before_pi_runs(here: Launching) -> None:
    """While the session runs, the runner holds no mount of the project."""
    write(here.host / "skills/x", "x")
    here.unit(f"ls -l /proc/$PPID/fd > '{here.top}/open'")
    here.launch()
    held = [line for line in (here.top / "open").read_text().splitlines() if "->" in line]
    assert held and not any(line.endswith(f" -> {here.host}") for line in held)


def test_a_session_that_does_not_come_to_run_pi_is_refused_and_gone(here: Launching) -> None:
    here.unit(status=1, starts=False)
    with pytest.raises(Refusal) as caught:
        here.launch()
    assert caught.value.status == EX_UNAVAILABLE
    assert left_in(here.staging) == []
    assert here.events() == ["start"], "who catches the refusal tells of it"


def test_a_session_whose_mounts_cannot_be_made_is_refused_and_gone(here: Launching) -> None:
    here.unit(f"touch '{here.top}/ran'")
    plan = here.plan()
    here.kernel.refuses = {"new"}
    with pytest.raises(Refusal) as caught:
        here.carry_out(plan)
    assert caught.value.status == EX_UNAVAILABLE
    assert left_in(here.staging) == []
    assert not (here.top / "ran").exists()


@pytest.mark.parametrize("what", ["enter", "attach", "clone", "set_attributes"])
def test_a_session_to_which_something_cannot_be_attached_never_hears_its_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    here = Launching(tmp_path, monkeypatch, sandbox=policies.sandbox(protectedPaths=[".envrc"]))
    put(here.root / ".envrc")
    here.unit(f"touch '{here.top}/ran'")
    plan = here.plan()
    enter = here.kernel.enter

    def entering(process: int) -> None:
        here.kernel.refuses = {what}
        enter(process)

    monkeypatch.setattr(here.kernel, "enter", entering)
    with pytest.raises(Refusal) as caught:
        here.carry_out(plan)
    assert caught.value.status == EX_UNAVAILABLE and "Invalid argument" in caught.value.what
    assert not (here.top / "ran").exists() and not here.kept.exists()
    assert "systemctl kill --signal=KILL" in " ".join(here.bin.calls("systemctl"))
    assert left_in(here.staging) == []


# -- the system directories


def test_where_the_prepared_root_is_missing_its_service_is_started(here: Launching) -> None:
    root = prepared_root.look()
    os.unlink(root.mark)
    here.bin.script("systemctl", f'[ "$1" != start ] || touch "{root.mark}"')
    assert here.launch() == 0
    assert here.bin.calls("systemctl start") == ["systemctl start m3ta-pi-agent-root.service"]
    here.launch()
    assert len(here.bin.calls("systemctl start")) == 1, "it is there"


def test_where_the_service_mounts_nothing_the_launch_is_refused(here: Launching) -> None:
    os.unlink(prepared_root.look().mark)
    with pytest.raises(Refusal) as caught:
        here.launch()
    assert caught.value.status == EX_UNAVAILABLE and "m3ta-pi-agent-root.service" in caught.value.remedy
    assert left_in(here.staging) == [] and here.bin.calls("systemd_run") == []


# -- who is told what


def test_the_journal_is_told_of_start_and_end_and_no_argument(here: Launching) -> None:
    here.unit(status=7)
    plan = here.plan("-p", "hunter2")
    here.carry_out(plan)
    known = {
        "PI_AGENT_POLICY": "/policy.json", "PI_AGENT_HOST_USER": "alice", "PI_AGENT_PROJECT_ROOT": str(here.root),
        "PI_AGENT_UNIT": plan.request.session.unit,
    }  # fmt: skip
    start, end = here.journal
    assert start["PI_AGENT_EVENT"] == "start" and start.items() >= known.items()
    assert (end["PI_AGENT_EVENT"], end["PI_AGENT_OUTCOME"]) == ("end", "7") and end.items() >= known.items()
    assert "hunter2" not in str(here.journal)


def test_without_a_project_the_journal_has_no_root(here: Launching) -> None:
    here.launch("--version")
    assert here.events() == ["start", "end"]
    assert all("PI_AGENT_PROJECT_ROOT" not in entry for entry in here.journal)


def test_notices_are_told_once_before_pi_starts_in_the_order_in_which_they_came_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    here = Launching(tmp_path, monkeypatch, sandbox=policies.sandbox(protectedPaths=[".envrc"]))
    here.kernel.refuses = {"idmap"}
    os.mkfifo(here.host / "pipe")
    write(here.isolated / "settings.json", "broken")
    put(here.root / ".envrc")
    plan = here.plan()
    (here.root / ".envrc").unlink()
    here.unit("echo unit >&2")
    here.carry_out(plan)
    [kept] = here.isolated.glob("settings.json.displaced-*")
    said = capfd.readouterr().err.splitlines()
    assert said[-1] == "unit"
    told = [line.removeprefix("pi: ") for line in said[:-1]]
    assert told[:2] == [notices.not_a_file(f"{here.host}/pipe"), notices.owners_not_mapped(str(here.root))]
    assert "settings.json" in told[2] and kept.name in told[2]
    assert told[3] == notices.protected_path_vanished(".envrc")


# -- what the session left behind


@pytest.mark.parametrize("terminal", [True, False])
def test_files_that_the_host_runs_by_itself_are_told_after_the_session_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], terminal: bool
) -> None:
    here = Launching(tmp_path, monkeypatch)
    # Nobody is at the terminal of the tests, but it is there.
    monkeypatch.setattr("os.isatty", lambda descriptor: terminal and descriptor == 0)
    here.unit(f"echo evil > '{here.root}/.envrc'; echo Pi says", 7)
    assert (at_terminal(here) if terminal else here.launch()) == 7
    said = capfd.readouterr()
    assert said.out == "Pi says\n"
    assert said.err.startswith(f"pi: {self_running_texts.CHANGED}.") and "\n      .envrc\n" in said.err
    assert here.events() == ["start", "end", "self-running"]
    assert here.journal[-1]["PI_AGENT_PATHS"] == ".envrc" and "evil" not in str(here.journal)
    assert not left_in(here.staging)
    assert here.launch() == 7
    assert capfd.readouterr().err.count(".envrc") == 1, "it was written again"
    here.unit()
    assert here.launch() == 0
    assert capfd.readouterr().err == ""


def test_a_session_without_a_project_is_not_looked_at(
    here: Launching, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    here.unit(f"echo evil > '{here.root}/.envrc'")
    here.carry_out(launch_plan.plan(replaced(here.request("--version"), terminal=True)))
    assert capfd.readouterr().err == ""


def test_a_record_that_is_lost_is_said(here: Launching, capfd: pytest.CaptureFixture[str]) -> None:
    here.unit('rm "${report%/*}/record"')
    assert here.launch() == 0
    assert "could not be recorded" in capfd.readouterr().err


# -- what changed since it was planned


@pytest.mark.parametrize("first_has_work", [True, False])
def test_a_launch_that_syncs_between_anothers_plan_and_its_start_is_not_undone(
    here: Launching, first_has_work: bool
) -> None:
    """The first launch plans. A second one brings news of the host. Pi makes a choice. Then the first one starts."""
    write(here.host / "settings.json", {"theme": "old", "outputPad": 1})
    write(here.host / "skills/one", "old")
    here.launch()
    if first_has_work:
        write(here.host / "settings.json", {"theme": "newer", "outputPad": 1})
        write(here.host / "skills/one", "newer")
    first = here.plan()
    write(here.host / "settings.json", {"theme": "newest", "outputPad": 1})
    write(here.host / "skills/two", "newest")
    (here.host / "skills/one").unlink()
    here.launch()
    inside = read(here.isolated / "settings.json")
    write(here.isolated / "settings.json", {**inside, "theme": "chosen", "outputPad": 2})
    after = snapshot(here.isolated)
    assert here.carry_out(first) == 0
    assert snapshot(here.isolated) == after
    assert here.launch() == 0
    assert snapshot(here.isolated) == after


def test_of_two_launches_planned_at_once_the_second_to_start_finds_the_work_done(here: Launching) -> None:
    write(here.host / "settings.json", {"a": 1})
    write(here.host / "skills/one", "x")
    write(here.host / ".env", "IN=1")
    first, second = here.plan(), here.plan()
    assert here.carry_out(first) == 0
    before = snapshot(here.state)
    assert here.carry_out(second) == 0
    assert snapshot(here.state) == before


def test_a_choice_made_inside_between_plan_and_start_survives(here: Launching) -> None:
    write(here.host / "settings.json", {"theme": "a", "defaultModel": "a"})
    here.launch()
    write(here.host / "settings.json", {"theme": "b", "defaultModel": "a"})
    plan = here.plan()
    write(here.isolated / "settings.json", {"theme": "a", "defaultModel": "chosen"})
    here.carry_out(plan)
    assert read(here.isolated / "settings.json") == {"theme": "b", "defaultModel": "chosen"}


def test_a_state_that_was_removed_since_it_was_planned_is_made_anew_or_refused(here: Launching) -> None:
    plan = here.plan()
    os.rename(here.state, here.top / "away")
    with pytest.raises(Refusal):
        here.carry_out(plan)
    assert here.bin.calls("systemd_run") == []


def test_a_runner_that_is_told_to_end_ends_pi_and_leaves_nothing(here: Launching) -> None:
    ended = waiting(f"grep -q 'kill-whom=main --signal={int(signal.SIGTERM)}' '{here.bin.log}'")
    here.unit(f"{LISTENING}kill -TERM $PPID\n{ended}", status=128 + signal.SIGTERM)
    assert here.launch() == 128 + signal.SIGTERM
    assert left_in(here.staging) == []
