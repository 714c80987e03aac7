from __future__ import annotations

import os
from pathlib import Path

import orjson
import pytest

from pi_agent.messages.refusal import EX_DATAERR, EX_UNAVAILABLE, Refusal
from pi_agent.state import scans
from tests.support.bench import Bench, bench
from tests.support.limits import no_room
from tests.support.policies import USER, host_user
from tests.support.shapes import NOT_OBJECTS
from tests.support.trees import Nest, await_tick, read, snapshot, write


def test_a_first_launch_brings_everything_over(tmp_path: Path) -> None:
    here = bench(tmp_path, settings={"theme": "nix"})
    write(here.host / "settings.json", {"theme": "host", "defaultModel": "m"})
    write(here.host / "auth.json", {"anthropic": {"key": "k"}})
    write(here.host / "skills/a/SKILL.md", "skill")
    write(here.host / "AGENTS.md", "agents")
    write(here.host / "custom.txt", "custom")
    assert here.sync() == []
    assert read(here.isolated / "settings.json") == {"theme": "nix", "defaultModel": "m"}
    assert read(here.isolated / "auth.json") == {"anthropic": {"key": "k"}}
    assert snapshot(here.isolated).keys() == {
        "settings.json", "auth.json", "skills", "skills/a", "skills/a/SKILL.md", "AGENTS.md", "custom.txt", "sessions",
    }  # fmt: skip


def test_what_pi_owns_is_neither_copied_nor_deleted(tmp_path: Path) -> None:
    here = bench(tmp_path)
    for name in (
        "sessions/host",
        "bin/host",
        "npm/host",
        "git/host",
        "crashes.json",
        "models-store.json",
        "x.lock/host",
    ):
        write(here.host / name, "host")
    for name in ("sessions/own", "bin/own", "npm/own", "git/own", "crashes.json", "pi-debug.log", "mcp.log.1"):
        write(here.isolated / name, "own")
    before = snapshot(here.isolated)
    here.sync()
    here.sync()
    assert snapshot(here.isolated) == before


def test_env_files_are_not_copied(tmp_path: Path) -> None:
    here = bench(tmp_path)
    write(here.host / ".env", "TOKEN=x")
    here.sync()
    assert not (here.isolated / ".env").exists()


def test_a_choice_inside_survives_a_launch_and_code_does_not(tmp_path: Path) -> None:
    here = bench(tmp_path)
    write(here.host / "settings.json", {"theme": "dark"})
    here.sync()
    write(here.isolated / "settings.json", {"theme": "light", "shellPath": "/tmp/evil", "packages": ["evil"]})
    write(here.isolated / "extensions/evil.ts", "evil")
    write(here.isolated / "AGENTS.md", "evil")
    here.sync()
    assert read(here.isolated / "settings.json") == {"theme": "light"}
    assert snapshot(here.isolated).keys() == {"settings.json", "sessions"}


def test_a_login_inside_survives_until_the_host_logs_in_anew(tmp_path: Path) -> None:
    here = bench(tmp_path)
    write(here.host / "auth.json", {"a": {"refresh": "1"}})
    here.sync()
    write(here.isolated / "auth.json", {"a": {"refresh": "2"}})
    here.sync()
    assert read(here.isolated / "auth.json") == {"a": {"refresh": "2"}}
    write(here.host / "auth.json", {"a": {"refresh": "3"}})
    here.sync()
    assert read(here.isolated / "auth.json") == {"a": {"refresh": "3"}}


def test_without_sync_only_nix_is_applied(tmp_path: Path) -> None:
    here = bench(tmp_path, syncConfigFromHost=False, settings={"theme": "nix"})
    write(here.host / "settings.json", {"defaultModel": "host"})
    write(here.host / "skills/a", "x")
    write(here.isolated / "settings.json", {"defaultModel": "inside", "theme": "inside"})
    write(here.isolated / "custom", "kept")
    assert here.sync() == []
    assert read(here.isolated / "settings.json") == {"defaultModel": "inside", "theme": "nix"}
    assert snapshot(here.isolated).keys() == {"settings.json", "custom", "sessions"}


def test_a_launch_without_sync_does_not_forget_what_the_host_said(tmp_path: Path) -> None:
    here = bench(tmp_path)
    write(here.host / "settings.json", {"defaultModel": "host"})
    here.sync()
    write(here.isolated / "settings.json", {"defaultModel": "inside"})
    bench(tmp_path, syncConfigFromHost=False).sync()
    here.sync()
    assert read(here.isolated / "settings.json") == {"defaultModel": "inside"}


@pytest.mark.parametrize("content", NOT_OBJECTS, ids=lambda content: repr(content[:12]))
@pytest.mark.parametrize("name", ["settings.json", "auth.json"])
def test_bad_host_data_is_refused_and_nothing_isolated_changes(tmp_path: Path, name: str, content: bytes) -> None:
    here = bench(tmp_path, settings={"theme": "nix"})
    write(here.host / "settings.json", {"a": 1})
    write(here.host / "skills/a", "old")
    here.sync()
    before = snapshot(tmp_path / "state")
    write(here.host / "skills/a", "new")
    write(here.host / "skills/b", "new")
    write(here.host / name, content)
    with pytest.raises(Refusal) as caught:
        here.sync()
    assert caught.value.status == EX_DATAERR
    assert f"{here.host}/{name}" in caught.value.what
    assert snapshot(tmp_path / "state") == before


def test_a_tree_past_the_limits_is_refused_and_nothing_isolated_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = bench(tmp_path)
    for number in range(4):
        write(here.host / f"skills/{number}", "x")
    before = snapshot(tmp_path / "state")
    monkeypatch.setattr(scans, "ENTRIES_AT_MOST", 4)
    with pytest.raises(Refusal) as caught:
        here.sync()
    assert caught.value.status == EX_DATAERR
    assert str(here.host) in caught.value.what
    assert snapshot(tmp_path / "state") == before


def test_a_corrupt_isolated_document_is_kept_aside_and_written_anew(tmp_path: Path) -> None:
    here = bench(tmp_path)
    write(here.host / "settings.json", {"a": 1})
    write(here.isolated / "settings.json", "{broken")
    (notice,) = here.sync()
    (kept,) = here.isolated.glob("settings.json.displaced-*")
    assert kept.name in notice
    assert kept.read_text() == "{broken"
    assert read(here.isolated / "settings.json") == {"a": 1}
    assert here.sync() == []
    assert kept.exists()


def test_after_a_memory_that_cannot_be_read_everything_is_copied_again_with_one_notice(tmp_path: Path) -> None:
    here = bench(tmp_path)
    write(here.host / "settings.json", {"a": 1})
    write(here.host / "skills/a", "x")
    here.sync()
    write(here.isolated / "skills/a", "evil")
    here.memory.write_bytes(b"{")
    (notice,) = here.sync()
    assert "sync" in notice and notice.isprintable()
    assert (here.isolated / "skills/a").read_text() == "x"
    assert read(here.isolated / "settings.json") == {"a": 1}
    assert here.sync() == []


def test_the_memory_is_out_of_the_agents_reach(tmp_path: Path) -> None:
    here = bench(tmp_path)
    write(here.host / "settings.json", {"a": 1})
    here.sync()
    assert here.memory.is_file()
    assert here.tree not in here.memory.parents


@pytest.mark.parametrize("planted", [".pi", ".pi/agent"])
def test_a_planted_link_for_the_whole_directory_is_not_followed(tmp_path: Path, planted: str) -> None:
    here = bench(tmp_path)
    outside = tmp_path / "outside"
    write(outside / "agent/AGENTS.md", "precious")
    write(outside / "AGENTS.md", "precious")
    before = snapshot(outside)
    place = here.tree / planted
    place.rename(tmp_path / "away")
    place.symlink_to(outside)
    write(here.host / "AGENTS.md", "host")
    here.sync()
    assert snapshot(outside) == before
    assert (here.isolated / "AGENTS.md").read_text() == "host"


def test_planted_documents_that_are_links_are_replaced_not_followed(tmp_path: Path) -> None:
    here = bench(tmp_path)
    outside = tmp_path / "outside.json"
    outside.write_text('{"token": "precious"}')
    write(here.host / "settings.json", {"a": 1})
    (here.isolated / "settings.json").symlink_to(outside)
    here.sync()
    assert outside.read_text() == '{"token": "precious"}'
    assert read(here.isolated / "settings.json") == {"a": 1}


def test_specials_on_the_host_are_named_and_the_rest_is_brought_over(tmp_path: Path) -> None:
    here = bench(tmp_path)
    write(here.host / "skills/a", "x")
    os.mkfifo(here.host / "skills/fifo")
    (here.host / "skills/loop").symlink_to(".")
    notices = here.sync()
    assert len(notices) == 2
    assert {"skills", "skills/a"} <= snapshot(here.isolated).keys()
    assert not any("fifo" in name or "loop" in name for name in snapshot(here.isolated))


def test_an_unreadable_file_is_named_and_the_rest_is_brought_over(ordinary: Path) -> None:
    here = bench(ordinary)
    write(here.host / "skills/a", "x")
    write(here.host / "skills/b", "x")
    (here.host / "skills/b").chmod(0)
    (notice,) = here.sync()
    assert f"{here.host}/skills/b was left out: Permission denied" in notice
    assert (here.isolated / "skills/a").exists()


@pytest.mark.parametrize("name", ["skills/a", "settings.json"])
def test_a_state_that_cannot_be_written_is_refused_and_what_was_there_is_unchanged(tmp_path: Path, name: str) -> None:
    here = bench(tmp_path)
    write(here.host / name, '{"old": 1}')
    here.sync()
    before = snapshot(tmp_path / "state")
    await_tick(here.host / name)
    write(here.host / name, '{"new": 1}')
    with pytest.raises(Refusal) as caught, no_room():
        here.sync()
    assert caught.value.status == EX_UNAVAILABLE
    assert snapshot(tmp_path / "state") == before
    here.sync()
    assert read(here.isolated / name) == {"new": 1}


def test_a_directory_that_the_agent_closed_to_itself_does_not_refuse_every_launch(ordinary: Path) -> None:
    here = bench(ordinary)
    write(here.isolated / "skills/closed/x", "x")
    (here.isolated / "skills/closed").chmod(0)
    here.sync()
    assert not (here.isolated / "skills").exists()


@pytest.mark.parametrize("closed", [".", "skills", "skills/sub", "custom", "settings.json", "skills/sub/a"])
def test_what_the_agent_closed_to_itself_is_brought_up_to_date_all_the_same(ordinary: Path, closed: str) -> None:
    here = bench(ordinary)
    for name in ("skills/sub/a", "custom/a", "settings.json"):
        write(here.host / name, '{"old": 1}')
    here.sync()
    await_tick(here.host / "settings.json")  # the last file that was made
    for name in ("skills/sub/a", "custom/a", "settings.json"):
        write(here.host / name, '{"new": 1}')
    (here.isolated / closed).chmod(0)
    here.sync()
    for name in ("skills/sub/a", "custom/a", "settings.json"):
        assert read(here.isolated / name) == {"new": 1}


@pytest.mark.parametrize("name", [".pi-agent-new", ".pi-agent-removing-1-1", ".pi-agent-"])
@pytest.mark.parametrize("kind", ["file", "directory", "link"])
def test_what_a_killed_sync_left_is_removed(ordinary: Path, name: str, kind: str) -> None:
    here = bench(ordinary)
    write(ordinary / "outside/precious", "precious")
    left = here.isolated / name
    if kind == "file":
        write(left, "half")
    elif kind == "directory":
        write(left / "below/x", "x")
        (left / "below").chmod(0)
    else:
        left.symlink_to(ordinary / "outside")
    write(here.isolated / ".pi-agents-own", "kept")
    assert here.sync() == []
    assert snapshot(here.isolated).keys() == {"sessions", ".pi-agents-own"}
    assert snapshot(ordinary / "outside") == {"precious": b"precious"}


@pytest.mark.parametrize("kind", ["deep", "wide"])
def test_what_grew_out_of_bounds_inside_is_kept_aside_and_refuses_nothing(
    nest: Nest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    here = bench(tmp_path)
    write(here.host / "skills/a", "host")
    write(here.host / "custom/a", "host")
    here.sync()
    monkeypatch.setattr(scans, "ENTRIES_AT_MOST", 40)
    for name in ("skills", "custom", "own"):
        if kind == "deep":
            (here.isolated / name).mkdir(exist_ok=True)
            nest(here.isolated / name, ["d"] * 300)
        else:
            for number in range(50):
                write(here.isolated / name / str(number), "x")
    notices = here.sync()
    assert sorted(notice.split(" ")[2] for notice in notices) == ["custom", "skills"]
    for name in ("skills", "custom"):
        assert (here.isolated / name / "a").read_text() == "host"
        (kept,) = here.isolated.glob(f"{name}.displaced-*")
        assert kept.name in "".join(notices)
        assert (kept / ("d/d" if kind == "deep" else "7")).exists(), "nothing is lost"
    assert (here.isolated / "own").is_dir(), "of no concern to us, whatever its size"
    assert here.sync() == []


@pytest.mark.parametrize("name", [".pi-agent-x", f"{'x' * 250}.md"], ids=["ours", "long"])
def test_what_grew_out_of_bounds_refuses_nothing_whatever_its_name(tmp_path: Path, nest: Nest, name: str) -> None:
    here = bench(tmp_path)
    nest(here.isolated, [name, *["d"] * (scans.DEPTH_AT_MOST + 5)])
    try:
        here.sync()
    except Refusal as refusal:
        pytest.fail(refusal.what)
    assert not (here.isolated / name).exists()
    assert here.sync() == []


def placed(tmp_path: Path, config_path: str, *roots: str) -> Bench:
    return bench(tmp_path, hostUsers={USER: host_user(*roots, config_path=config_path)})


def test_planted_links_in_a_configuration_inside_a_root_bring_no_secrets_over(tmp_path: Path) -> None:
    here = placed(tmp_path, "projects/conf", "~/projects")
    write(tmp_path / "home/.ssh/id_ed25519", '{"key": "private"}')
    write(tmp_path / "home/projects/conf/AGENTS.md", "fine")
    (tmp_path / "home/projects/conf/skills").symlink_to("../../.ssh")
    (tmp_path / "home/projects/conf/models.json").symlink_to("../../.ssh/id_ed25519")
    assert len(here.sync()) == 2
    assert snapshot(here.isolated).keys() == {"sessions", "AGENTS.md"}
    (tmp_path / "home/projects/conf/settings.json").symlink_to("../../.ssh/id_ed25519")
    with pytest.raises(Refusal) as caught:
        here.sync()
    assert caught.value.status == EX_DATAERR
    assert "private" not in orjson.dumps([caught.value.what, caught.value.remedy]).decode()
