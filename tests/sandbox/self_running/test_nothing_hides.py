"""No permission, decoy, name, kind of file or size hides what a session left; where a look ends, it says so."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from pi_agent.sandbox.self_running import beyond, look, report, seeing
from tests.support import people
from tests.support.left_behind import Left, git
from tests.support.trees import Nest, put


@people.needs_root
@pytest.mark.parametrize("mode", [0o311, 0o000, 0o100])
def test_no_permission_of_a_directory_hides_anything(left: Left, mode: int) -> None:
    def session() -> None:
        for name in (".vscode", "deep/.git/hooks", ".git/worktrees/x"):
            put(left.root / name / "config.worktree", "[core]\nfsmonitor = ./x\n")
            (left.root / name / "commondir").touch()
            (left.root / name).chmod(mode)

    told = left.news(session)
    assert {".vscode/config.worktree", "deep/.git/hooks/config.worktree", ".git/worktrees/x/config.worktree"} <= {*told}


def test_a_name_in_other_letters_hides_none_in_these(left: Left) -> None:
    def session() -> None:
        for name in (".ENVRC", ".envrc", ".Envrc"):
            put(left.root / name)

    assert sorted(left.news(session)) == [".ENVRC", ".Envrc", ".envrc"]


def test_files_of_any_kind_are_told_and_none_is_opened_that_is_no_file(left: Left) -> None:
    git(left.root, "init", "-q")

    def session() -> None:
        os.mkfifo(left.root / ".envrc")
        os.mkfifo(left.root / "package.json")
        os.mkfifo(left.root / ".git/commondir")
        os.mkfifo(left.root / ".git/config.worktree")
        with open(left.root / ".git/config", "ab") as file:
            file.write(b"[core]\nfsmonitor = ./x\n")
            file.truncate(1 << 40)

    told = left.news(session)
    assert {".envrc", "package.json", ".git/config", ".git/config.worktree", ".git/commondir"} == {*told}


def test_many_files_do_not_hide_one(left: Left) -> None:
    def session() -> None:
        for number in range(3000):
            put(left.root / f".git/hooks/a{number}")
            put(left.root / f".aaa{number}/.vscode/x")
        git(left.root / "zzz", "init", "-q")
        git(left.root / "zzz", "config", "core.fsmonitor", "./x")
        put(left.root / ".git/hooks/pre-commit")
        put(left.root / "zzz/.envrc")

    items = left.items(session)
    assert len(items) == 6003
    lines = report.lines(items)
    assert len(lines) < 50
    assert lines[:3] == [
        "git would run, also from your prompt:",
        "  zzz/.git/config: core.fsmonitor",
        "  .git/hooks: 3001 files, among them pre-commit, a0, a1, a10, a100, a1000",
    ]
    assert "  zzz/.envrc" in lines
    assert lines[-1] == "  and 2970 more"


def test_what_package_managers_fill_comes_last(left: Left) -> None:
    def session() -> None:
        put(left.root / "node_modules/a/.vscode/tasks.json")
        put(left.root / "node_modules/a/package.json", '{"scripts": {"postinstall": "x"}}')
        put(left.root / "AGENTS.md")

    items = left.items(session)
    assert [item.path for item in items] == ["AGENTS.md", "node_modules/a/.vscode/tasks.json"]
    assert report.lines(items)[-2].startswith("only if you work in these directories")


@people.needs_root
def test_what_is_mounted_over_does_not_hide_what_the_agent_wrote_below(left: Left) -> None:
    place = left.root / "place"
    place.mkdir()
    below = seeing.opened(left.project.descriptor)
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", place], check=True)
    try:
        put(place / "the host's own", "x")

        def session() -> None:
            put(Path(f"/proc/self/fd/{below}/place/.envrc"))
            put(place / ".envrc", "which no agent sees")

        assert [*left.news(session)] == ["place/.envrc"]
        (place / ".envrc").unlink()
        assert left.news(lambda: put(place / ".envrc", "on the host")) == {}
    finally:
        subprocess.run(["umount", place], check=True)
        os.close(below)


def test_what_lies_too_deep_is_said(left: Left, nest: Nest) -> None:
    found = left.report(lambda: nest(left.root, ["d"] * 300))
    assert found.items == ()
    [unseen] = found.unseen
    assert unseen.path.startswith("d/d/d/") and unseen.why


def test_a_look_that_takes_too_long_says_where_it_stopped(left: Left, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(look, "_COMPARING", 0.0)
    found = left.report(lambda: put(left.root / "a/.envrc"))
    assert [each.path for each in found.unseen] == ["a"]


def test_a_link_to_more_than_is_looked_at_is_said(left: Left, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beyond, "_LOOKS_AT_MOST", 10)

    def session() -> None:
        for number in range(20):
            put(left.root / f"editor/{number}")
        (left.root / ".vscode").symlink_to("editor")

    found = left.report(session)
    assert [each.path for each in found.unseen] == [".vscode"]


def test_a_directory_that_nobody_can_look_into_is_said_once_it_changes(ordinary: Path) -> None:
    left = Left(ordinary)
    put(ordinary / "old/x")
    (ordinary / "old").chmod(0)

    def session() -> None:
        put(ordinary / "new/.envrc")
        (ordinary / "new").chmod(0)

    found = left.report(session)
    assert [each.path for each in found.unseen] == ["new"]
    for name in ("old", "new"):
        (ordinary / name).chmod(0o700)
