"""sync: which files of the host are mirrored, where to, and what of the agent's is removed."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from pi_agent.state import pi_files
from tests.support.bench import Bench, bench
from tests.support.trees import await_tick, displaced, snapshot, write

_SKILL = ".agents/skills/one/SKILL.md"


def home_of(here: Bench) -> Path:
    """The host user's home."""
    return Path(here.caller.home)


def settled(here: Bench) -> None:
    """Check that there is nothing left to do."""
    assert here.plan().changes_nothing


# -- Pi's directory


@pytest.mark.parametrize(
    "name", ["mcp.json", "oauth.json", "commands/x.md", "hooks/x", "tools/fd", "node_modules/a/index.js", "AGENTS.MD"]
)
def test_what_pi_runs_or_obeys_is_what_the_host_has(tmp_path: Path, name: str) -> None:
    here = bench(tmp_path)
    write(here.host / "prompts/kept.md", "kept")  # beside it, commands/ stays what it is
    here.sync()
    write(here.isolated / name, "planted")
    here.sync()
    assert not (here.isolated / name).exists()
    write(here.host / name, "of the host")
    here.sync()
    assert (here.isolated / name).read_text() == "of the host"
    await_tick(here.isolated / name)
    write(here.isolated / name, "planted")
    here.sync()
    assert (here.isolated / name).read_text() == "of the host"
    settled(here)


def test_commands_become_prompts_as_pi_would_rename_them_and_no_launch_does_so_again(tmp_path: Path) -> None:
    here = bench(tmp_path)
    write(here.host / "commands/deep/one.md", "one")
    here.sync()
    assert snapshot(here.isolated / "prompts") == {"deep": None, "deep/one.md": b"one"}
    assert not (here.isolated / "commands").exists()
    settled(here)
    await_tick(here.host / "commands/deep/one.md")
    write(here.host / "commands/deep/one.md", "changed")
    write(here.isolated / "prompts/planted.md", "evil")
    write(here.isolated / "commands/planted.md", "evil")
    here.sync()
    assert snapshot(here.isolated / "prompts") == {"deep": None, "deep/one.md": b"changed"}
    assert not (here.isolated / "commands").exists()
    # The host's own Pi has renamed them.
    (here.host / "commands").rename(here.host / "prompts")
    here.sync()
    assert snapshot(here.isolated / "prompts") == {"deep": None, "deep/one.md": b"changed"}
    settled(here)


def test_a_command_that_cannot_be_copied_is_named_as_the_host_has_it(tmp_path: Path) -> None:
    here = bench(tmp_path)
    write(here.host / "commands/one.md", "one")
    planned = here.plan()
    (here.host / "commands/one.md").unlink()
    [told] = here.carry_out(planned)
    assert f"{here.host}/commands/one.md" in told


def test_what_pi_keeps_for_one_run_is_removed_at_the_next_start_and_never_copied(tmp_path: Path) -> None:
    here = bench(tmp_path)
    write(here.host / "tmp/extensions/npm/x", "of the host")
    write(here.isolated / "tmp/extensions/npm/x", "of an earlier session")
    (here.isolated / "tmp/link").symlink_to(tmp_path)
    assert not here.plan().changes_nothing
    here.sync()
    assert not (here.isolated / "tmp").exists()
    settled(here)
    (here.isolated / "tmp").symlink_to(tmp_path / "state")
    here.sync()
    assert not os.path.lexists(here.isolated / "tmp") and (tmp_path / "state").exists()


@pytest.mark.parametrize("name", pi_files.CLEARED_IN_HOME)
@pytest.mark.parametrize("planted", ["directory", "closed", "link", "file"])
def test_what_node_or_pi_would_find_in_the_home_is_removed(ordinary: Path, name: str, planted: str) -> None:
    here = bench(ordinary)
    write(here.tree / ".pi/own", "kept")
    write(here.tree / "own", "kept")
    here.sync()
    settled(here)
    place = here.tree / name
    if planted == "link":
        place.symlink_to(here.tree / "own")
    elif planted == "file":
        place.write_text("evil")
    else:
        write(place / "x/index.js", "evil")
        (place / "x").chmod(0 if planted == "closed" else 0o700)
    here.sync()
    assert not os.path.lexists(place)
    assert (here.tree / ".pi/own").exists() and (here.tree / "own").exists()
    settled(here)


def test_a_place_that_the_host_s_settings_name_is_mirrored_and_one_in_the_agent_s_home_left_out(tmp_path: Path) -> None:
    here = bench(tmp_path)
    write(here.host / "settings.json", '{"skills": ["mine/deep", "~/theirs", "/srv/x"]}')
    write(here.isolated / "mine/other/SKILL.md", "evil")
    write(here.isolated / "own", "kept")
    [told] = here.sync()
    assert "settings.json: ~/theirs was left out" in told
    assert json.loads((here.isolated / "settings.json").read_text()) == {"skills": ["mine/deep", "/srv/x"]}
    assert not (here.isolated / "mine").exists() and (here.isolated / "own").exists()
    settled(here)
    write(here.host / "mine/deep/one/SKILL.md", "one")
    write(here.isolated / "mine/evil", "evil")
    here.sync()
    assert snapshot(here.isolated / "mine") == {"deep": None, "deep/one": None, "deep/one/SKILL.md": b"one"}
    settled(here)


def test_a_host_without_a_configuration_leaves_no_code_inside(tmp_path: Path) -> None:
    here = bench(tmp_path)
    here.host.rmdir()
    write(here.isolated / "extensions/evil.ts", "evil")
    write(here.isolated / "AGENTS.md", "evil")
    write(here.isolated / "sessions/1.jsonl", "kept")
    write(here.isolated / "custom", "kept")
    assert here.sync() == []
    assert snapshot(here.isolated) == {"sessions": None, "sessions/1.jsonl": b"kept", "custom": b"kept"}
    settled(here)


def test_without_sync_files_are_left_alone(tmp_path: Path) -> None:
    here = bench(tmp_path, syncConfigFromHost=False)
    write(home_of(here) / _SKILL, "of the host")
    write(here.isolated / "extensions/own.ts", "own")
    write(here.tree / ".agents/skills/own/SKILL.md", "own")
    before = snapshot(here.tree)
    here.sync()
    assert snapshot(here.tree) == before


# -- the skills that agents share


def test_shared_skills_are_exactly_what_the_host_has(tmp_path: Path) -> None:
    here = bench(tmp_path)
    write(home_of(here) / _SKILL, "one")
    write(home_of(here) / ".agents/elsewhere/secret", "of another program")
    write(home_of(here) / "private", "no skill")
    here.sync()
    shared = {"skills": None, "skills/one": None, "skills/one/SKILL.md": b"one"}
    assert snapshot(here.tree / ".agents") == shared
    settled(here)
    write(here.tree / ".agents/skills/evil/SKILL.md", "evil")
    write(here.tree / ".agents/skills/one/more", "evil")
    write(here.tree / ".agents/plugin", "evil")
    write(here.tree / "own", "the agent's own")
    await_tick(here.tree / _SKILL)
    write(here.tree / _SKILL, "evil")
    here.sync()
    assert snapshot(here.tree / ".agents") == shared
    assert (here.tree / "own").exists() and not (here.tree / "private").exists()
    (home_of(here) / _SKILL).unlink()
    here.sync()
    assert snapshot(here.tree / ".agents") == {"skills": None, "skills/one": None}
    settled(here)


@pytest.mark.parametrize("planted", ["directory", "link", "file", "closed"])
def test_where_the_host_has_none_nothing_planted_stays(ordinary: Path, planted: str) -> None:
    here = bench(ordinary)
    here.sync()
    place = here.tree / ".agents"
    write(ordinary / "elsewhere/skills/evil/SKILL.md", "evil")
    if planted == "link":
        place.symlink_to(ordinary / "elsewhere")
    elif planted == "file":
        place.write_text("x")
    else:
        write(place / "skills/evil/SKILL.md", "evil")
        (place / "skills").chmod(0 if planted == "closed" else 0o700)
    here.sync()
    assert not os.path.lexists(place)
    assert (ordinary / "elsewhere/skills/evil/SKILL.md").exists()
    settled(here)


def test_a_link_in_the_way_of_shared_skills_is_replaced_and_not_followed(tmp_path: Path) -> None:
    here = bench(tmp_path)
    write(home_of(here) / _SKILL, "one")
    here.sync()
    (tmp_path / "elsewhere").mkdir()
    (here.tree / ".agents").rename(tmp_path / "away")
    (here.tree / ".agents").symlink_to(tmp_path / "elsewhere")
    here.sync()
    assert (here.tree / _SKILL).read_text() == "one" and not (here.tree / ".agents").is_symlink()
    assert snapshot(tmp_path / "elsewhere") == {}
    assert displaced(here.tree, ".agents") == []
    settled(here)


def test_shared_skills_may_be_a_link_and_no_directory_is_none(tmp_path: Path) -> None:
    here = bench(tmp_path)
    write(home_of(here) / "dotfiles/one/SKILL.md", "one")
    (home_of(here) / ".agents").mkdir()
    (home_of(here) / ".agents/skills").symlink_to("../dotfiles")
    here.sync()
    assert (here.tree / _SKILL).read_text() == "one"
    (home_of(here) / ".agents/skills").unlink()
    write(home_of(here) / ".agents/skills", "no directory")
    here.sync()
    assert not (here.tree / ".agents").exists()


def test_shared_skills_come_also_where_there_is_no_configuration(tmp_path: Path) -> None:
    here = bench(tmp_path)
    here.host.rmdir()
    write(home_of(here) / _SKILL, "one")
    here.sync()
    assert (here.tree / _SKILL).read_text() == "one"
    settled(here)


def test_files_of_both_places_with_one_name_are_remembered_apart(tmp_path: Path) -> None:
    here = bench(tmp_path)
    write(here.host / _SKILL, "in the configuration")
    write(home_of(here) / _SKILL, "in the home")
    here.sync()
    assert (here.isolated / _SKILL).read_text() == "in the configuration"
    assert (here.tree / _SKILL).read_text() == "in the home"
    settled(here)
    (here.host / _SKILL).unlink()
    here.sync()
    assert not (here.isolated / _SKILL).exists()
    assert (here.tree / _SKILL).read_text() == "in the home"
