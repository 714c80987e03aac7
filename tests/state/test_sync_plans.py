"""sync: plans, and what may happen between a plan and its execution. For what is synced, see test_sync.py."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Any

import orjson
import pytest

from pi_agent.state import sync
from pi_agent.state.sync import Sides
from tests.support.bench import Bench, bench
from tests.support.host_trees import host_tree
from tests.support.limits import open_descriptors
from tests.support.trees import await_tick, displaced, mode_of, read, snapshot, statuses, write


def remembered(here: Bench) -> dict[str, Any]:
    """Sync's memory, without the numbers of files, which differ from tree to tree."""
    known: dict[str, Any] = orjson.loads(here.memory.read_bytes())
    return {**known, "files": sorted(known["files"])}


def state_of(here: Bench) -> tuple[dict[str, object], dict[str, Any]]:
    """The isolated tree and what is remembered."""
    return snapshot(here.tree), remembered(here)


def filled(tmp_path: Path, **overrides: Any) -> Bench:
    """A synced bench whose host has changed since in every way."""
    here = bench(tmp_path, **overrides)
    write(here.host / "settings.json", {"theme": "dark", "defaultModel": "m"})
    write(here.host / "auth.json", {"a": {"refresh": "1"}})
    write(here.host / "skills/kept", "kept")
    write(here.host / "skills/changed", "old")
    write(here.host / "skills/gone/x", "gone")
    here.sync()
    await_tick(here.host / "skills/gone/x")
    write(here.host / "settings.json", {"theme": "light"})
    write(here.host / "skills/changed", "new")
    (here.host / "skills/gone/x").unlink()
    (here.host / "skills/gone").rmdir()
    write(here.host / "prompts/new", "new")
    return here


# -- what a plan says


def test_a_plan_says_everything_that_will_happen(tmp_path: Path) -> None:
    here = filled(tmp_path)
    plan = here.plan()
    work = plan.files[0].work
    assert work.remove == ("skills/gone",)
    assert work.make == ("prompts",)
    assert sorted(work.copy) == ["prompts/new", "skills/changed"]
    settings, auth, *_ = plan.documents
    assert settings.after.written == {"theme": "light"} and auth.changes_nothing
    assert not plan.changes_nothing and not plan.closed and plan.notices == ()
    here.carry_out(plan)
    assert here.plan().changes_nothing


def test_where_there_is_no_state_yet_everything_is_planned_and_nothing_made(tmp_path: Path) -> None:
    here = bench(tmp_path)
    write(here.host / "settings.json", {"a": 1})
    write(here.host / "skills/a", "x")
    tree = host_tree(here.host)
    plan = sync.plan(Sides(here.policy, here.caller, here.owner, tree), None, None)
    os.close(tree.descriptor)
    assert snapshot(here.isolated) == {"sessions": None}
    work = plan.files[0].work
    assert (work.make, work.copy) == (("skills",), ("skills/a",))
    assert [document.changes_nothing for document in plan.documents] == [False, True, True, True]


@pytest.mark.parametrize("what", ["new", "changed", "broken", "closed", "without host"])
def test_planning_changes_nothing(ordinary: Path, what: str) -> None:
    here = filled(ordinary) if what != "new" else bench(ordinary)
    write(here.host / "skills/a", "x")
    if what == "broken":
        write(here.isolated / "settings.json", "broken")
        write(here.memory, "broken")
        (here.isolated / ".pi-agent-new").mkdir()
    elif what == "closed":
        (here.isolated / "skills").chmod(0)
    elif what == "without host":
        here = bench(ordinary, syncConfigFromHost=False, settings={"theme": "nix"})
    before, descriptors = statuses(ordinary / "state"), open_descriptors()
    plan = here.plan()
    if plan.sides.host is not None:
        os.close(plan.sides.host.descriptor)
    assert not plan.changes_nothing
    assert statuses(ordinary / "state") == before
    assert open_descriptors() == descriptors


# -- nothing to do


@pytest.mark.parametrize("overrides", [{}, {"syncConfigFromHost": False}, {"settings": {"theme": "nix"}}])
def test_where_there_is_nothing_to_do_no_lock_is_taken_and_nothing_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, overrides: dict[str, Any]
) -> None:
    filled(tmp_path)
    here = bench(tmp_path, **overrides)
    here.sync()
    write(here.isolated / "custom/of/the/agent", "x")
    monkeypatch.setattr(fcntl, "flock", lambda *_: pytest.fail("somebody may hold the lock for long"))
    before = statuses(tmp_path)
    for _ in range(2):
        plan = here.plan()
        assert plan.changes_nothing
        assert here.carry_out(plan) == []
    assert statuses(tmp_path) == before


def test_a_host_that_is_touched_without_news_is_remembered_anew(tmp_path: Path) -> None:
    """Otherwise each launch would read the file again."""
    here = bench(tmp_path)
    write(here.host / "settings.json", '{"a":1}')
    write(here.host / "skills/a", "x")
    here.sync()
    await_tick(here.host / "skills/a")
    write(here.host / "settings.json", '{"a": 1}')
    write(here.host / "skills/a", "x")
    assert here.sync() == []
    assert here.plan().changes_nothing


def test_launches_of_a_user_wait_for_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = bench(tmp_path)
    here.sync()
    seen: list[str] = []

    def probe(_directory: int, name: str, _content: bytes) -> None:
        lock = os.open(here.memory.parent / "lock", os.O_RDWR)
        with pytest.raises(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.close(lock)
        seen.append(name)

    monkeypatch.setattr("pi_agent.linux.files.replace", probe)
    write(here.host / "settings.json", {"a": 1})
    here.sync()
    assert seen == ["settings.json", "memory.json"]
    lock = os.open(here.memory.parent / "lock", os.O_RDWR)
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(lock)


# -- two launches at once


def test_two_plans_made_before_either_is_carried_out_end_as_one_after_the_other(tmp_path: Path) -> None:
    (tmp_path / "meanwhile").mkdir()
    (tmp_path / "after").mkdir()
    meanwhile, after = filled(tmp_path / "meanwhile"), filled(tmp_path / "after")
    first, second = meanwhile.plan(), meanwhile.plan()
    assert meanwhile.carry_out(first) == meanwhile.carry_out(second) == []
    assert after.sync() == after.sync() == []
    assert state_of(meanwhile) == state_of(after)
    assert meanwhile.plan().changes_nothing


def test_two_first_launches_at_once_end_as_one_after_the_other(tmp_path: Path) -> None:
    (tmp_path / "meanwhile").mkdir()
    (tmp_path / "after").mkdir()
    meanwhile, after = bench(tmp_path / "meanwhile"), bench(tmp_path / "after")
    for here in (meanwhile, after):
        write(here.host / "settings.json", {"a": 1})
        write(here.host / "skills/a/b", "x")
    first, second = meanwhile.plan(), meanwhile.plan()
    assert meanwhile.carry_out(second) == meanwhile.carry_out(first) == []
    assert after.sync() == after.sync() == []
    assert state_of(meanwhile) == state_of(after)


def test_what_the_agent_plants_after_another_launch_synced_is_removed_by_this_one(tmp_path: Path) -> None:
    here = filled(tmp_path)
    first, second = here.plan(), here.plan()
    here.carry_out(first)
    write(here.isolated / "skills/planted", "evil")
    write(here.isolated / "skills/changed", "evil")
    here.carry_out(second)
    assert not (here.isolated / "skills/planted").exists()
    assert (here.isolated / "skills/changed").read_text() == "new"


def test_what_was_chosen_inside_after_another_launch_synced_is_kept(tmp_path: Path) -> None:
    here = filled(tmp_path)
    first, second = here.plan(), here.plan()
    here.carry_out(first)
    write(here.isolated / "settings.json", {"theme": "light", "defaultModel": "chosen"})
    here.carry_out(second)
    assert read(here.isolated / "settings.json") == {"theme": "light", "defaultModel": "chosen"}
    assert here.plan().changes_nothing


def test_a_notice_of_what_another_launch_left_is_told_once(tmp_path: Path) -> None:
    here = filled(tmp_path)
    os.mkfifo(here.host / "fifo")
    first, second = here.plan(), here.plan()
    assert len(first.notices) == len(second.notices) == 1
    assert len(here.carry_out(first)) == len(here.carry_out(second)) == 1


def test_a_launch_that_planned_earlier_does_not_undo_what_a_later_one_synced(tmp_path: Path) -> None:
    here = filled(tmp_path)
    early = here.plan()
    write(here.host / "skills/newest", "x")
    write(here.host / "settings.json", {"theme": "newest"})
    here.sync()
    here.carry_out(early)
    assert (here.isolated / "skills/newest").exists()
    assert read(here.isolated / "settings.json") == {"theme": "newest"}


# -- Pi and the agent, between plan and execution


def test_a_document_that_pi_changes_after_the_plan_keeps_what_pi_changed(tmp_path: Path) -> None:
    here = filled(tmp_path)
    plan = here.plan()
    write(here.isolated / "settings.json", {"theme": "dark", "defaultModel": "m", "tuiMode": "chosen"})
    write(here.isolated / "auth.json", {"a": {"refresh": "2"}})
    assert here.carry_out(plan) == []
    for _ in range(2):
        assert read(here.isolated / "settings.json") == {"theme": "light", "tuiMode": "chosen"}
        assert read(here.isolated / "auth.json") == {"a": {"refresh": "2"}}
        here.sync()  # which finds, as a choice, what the plan did not know


def test_what_the_agent_plants_after_the_plan_is_gone_after_the_next_launch(tmp_path: Path) -> None:
    here = filled(tmp_path)
    plan = here.plan()
    write(here.isolated / "skills/planted", "evil")
    here.carry_out(plan)
    here.sync()
    assert snapshot(here.isolated / "skills") == snapshot(here.host / "skills")


@pytest.mark.parametrize("planted", [".pi", ".pi/agent"])
def test_a_link_planted_for_the_whole_directory_after_the_plan_is_not_followed(tmp_path: Path, planted: str) -> None:
    here = filled(tmp_path)
    write(tmp_path / "outside/agent/skills/changed", "precious")
    write(tmp_path / "outside/skills/changed", "precious")
    before = snapshot(tmp_path / "outside")
    plan = here.plan()
    (here.tree / planted).rename(tmp_path / "away")
    (here.tree / planted).symlink_to(tmp_path / "outside")
    here.carry_out(plan)
    assert snapshot(tmp_path / "outside") == before
    assert len(displaced((here.tree / planted).parent, os.path.basename(planted))) == 1
    here.sync()
    assert snapshot(here.isolated / "skills") == snapshot(here.host / "skills")


# -- what the agent closed to itself


@pytest.mark.parametrize("mode", [0, 0o400, 0o500])
@pytest.mark.parametrize("closed", ["skills", "skills/sub", "skills/sub/deep"])
def test_a_closed_directory_is_opened_up_and_what_was_planted_in_it_removed(
    ordinary: Path, closed: str, mode: int
) -> None:
    here = bench(ordinary)
    write(here.host / "skills/sub/deep/kept", "kept")
    here.sync()
    write(here.isolated / closed / "planted/x", "evil")
    write(here.isolated / closed / "planted.md", "evil")
    (here.isolated / closed).chmod(mode)
    plan = here.plan()
    assert plan.closed and not plan.changes_nothing
    assert here.carry_out(plan) == []
    assert mode_of(here.isolated / closed) == 0o700
    assert snapshot(here.isolated / "skills") == snapshot(here.host / "skills")
    assert here.plan().changes_nothing


@pytest.mark.parametrize("mode", [0, 0o400, 0o500])
@pytest.mark.parametrize("closed", [".pi", ".pi/agent"])
def test_a_closed_directory_above_is_opened_up_and_nothing_that_pi_chose_is_lost(
    ordinary: Path, closed: str, mode: int
) -> None:
    here = filled(ordinary)
    write(here.isolated / "settings.json", {"theme": "dark", "defaultModel": "m", "tuiMode": "chosen"})
    write(here.isolated / "sessions/1.jsonl", "x")
    write(here.isolated / "skills/planted", "evil")
    (here.tree / closed).chmod(mode)
    assert here.sync() == []
    assert read(here.isolated / "settings.json") == {"theme": "light", "tuiMode": "chosen"}
    assert (here.isolated / "sessions/1.jsonl").read_text() == "x"
    assert snapshot(here.isolated / "skills") == snapshot(here.host / "skills")
    assert here.plan().changes_nothing


@pytest.mark.parametrize("filled_host", [True, False])
@pytest.mark.parametrize("mode", [0, 0o300, 0o400, 0o500, 0o600])
@pytest.mark.parametrize("closed", [".", ".pi", ".pi/agent"])
def test_nothing_planted_survives_because_a_directory_above_was_closed(
    ordinary: Path, closed: str, mode: int, filled_host: bool
) -> None:
    here = bench(ordinary, settings={"theme": "light"})
    if filled_host:
        write(here.host / "settings.json", {"defaultModel": "m"})
        write(here.host / "extensions/own.ts", "own")
    here.launch()
    write(here.isolated / "extensions/evil.ts", "evil")
    write(here.isolated / "AGENTS.md", "evil")
    write(here.isolated / "settings.json", {"packages": ["evil"], "shellPath": "/evil", "theme": "dark"})
    (here.tree / closed).chmod(mode)
    here.launch()
    assert mode_of(here.tree / closed) == 0o700
    assert not (here.isolated / "AGENTS.md").exists()
    assert snapshot(here.isolated / "extensions") == ({"own.ts": b"own"} if filled_host else {})
    settings = read(here.isolated / "settings.json")
    assert settings["theme"] == "light" and "shellPath" not in settings
    assert here.plan().changes_nothing


def test_what_is_the_agents_own_may_stay_closed(ordinary: Path) -> None:
    here = bench(ordinary)
    here.sync()
    for name in ("sessions", "own", "npm"):
        (here.isolated / name).mkdir(exist_ok=True)
        (here.isolated / name).chmod(0)
    plan = here.plan()
    assert plan.changes_nothing and not plan.closed
    assert here.carry_out(plan) == []
    assert [mode_of(here.isolated / name) for name in ("sessions", "own", "npm")] == [0, 0, 0]


def test_a_closed_document_is_replaced_and_kept_aside_with_what_pi_chose_before(ordinary: Path) -> None:
    here = bench(ordinary)
    write(here.host / "settings.json", {"theme": "dark"})
    here.sync()
    write(here.isolated / "settings.json", {"theme": "dark", "defaultModel": "chosen"})
    here.sync()
    (here.isolated / "settings.json").chmod(0)
    (notice,) = here.sync()
    assert "Permission denied" in notice
    assert read(here.isolated / "settings.json") == {"theme": "dark", "defaultModel": "chosen"}


def test_one_that_plans_is_not_disturbed_by_another_that_is_at_work(tmp_path: Path) -> None:
    here = filled(tmp_path)
    lock = os.open(here.memory.parent / "lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(lock, fcntl.LOCK_EX)
    plan = here.plan()
    assert not plan.changes_nothing
    os.close(lock)
