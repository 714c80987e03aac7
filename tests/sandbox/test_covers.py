"""What of git is covered, and what above it stays movable. That it holds is in checks/escapes/test_git_layouts.py."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pi_agent.linux import beneath
from pi_agent.messages import notices
from pi_agent.messages.refusal import Refusal
from pi_agent.sandbox import covers, git_user, project_walk, protection
from pi_agent.sandbox.covers import Kind
from pi_agent.sandbox.git_user import UserGit
from tests.sandbox.test_git_directories import repository, worktree
from tests.support.projects import ground
from tests.support.trees import put

GIT = (".git/config", ".git/hooks")
PIN, LINK, PROTECT = Kind.PIN, Kind.LINK, Kind.PROTECT


def planned(root: Path, *patterns: str, at: str = "", told: tuple[str, ...] = ()) -> Mapping[str, Kind]:
    with ground(root) as there:
        plan = protection.plan(there, str(root / at), patterns or GIT, [], UserGit(str(root.parent)))
    assert plan.notices == told
    assert all(cover.found is not None for cover in plan.covers)
    return {cover.path: cover.kind for cover in plan.covers}


def test_a_policy_without_patterns_of_git_protects_nothing_of_it(tmp_path: Path) -> None:
    repository(tmp_path / ".git")
    put(tmp_path / "x/.git", "gitdir: ../.git")
    assert planned(tmp_path, ".envrc") == {}


def test_a_pattern_of_git_stands_for_every_git_directory(tmp_path: Path) -> None:
    repository(tmp_path / "x.git")
    put(tmp_path / "x.git/config.worktree")
    assert planned(tmp_path, ".git/hooks") == {"x.git/hooks": PROTECT}
    assert planned(tmp_path, ".git/config") == {"x.git/config": PROTECT}
    assert planned(tmp_path, ".git/worktrees/*/config.worktree") == {"x.git/config.worktree": PROTECT}
    # Others are patterns like any.
    assert planned(tmp_path, ".git/refs") == {}


def test_pointers_are_protected(tmp_path: Path) -> None:
    worktree(repository(tmp_path / ".git"), "w", tmp_path / "tree")
    assert planned(tmp_path) == {
        ".git": PIN,
        ".git/config": PROTECT,
        ".git/hooks": PROTECT,
        ".git/worktrees": PIN,
        ".git/worktrees/w": PIN,
        ".git/worktrees/w/commondir": PROTECT,
        ".git/worktrees/w/gitdir": PROTECT,
        "tree": PIN,
        "tree/.git": PROTECT,
    }
    assert "tree" not in planned(tmp_path, ".git/hooks")


def test_a_pointer_out_of_the_project_is_protected_itself(tmp_path: Path) -> None:
    put(tmp_path / "place/.git", "gitdir: /nowhere")
    assert planned(tmp_path) == {"place/.git": PROTECT}
    assert planned(tmp_path, at="place") == {"place": PIN, "place/.git": PROTECT}


def test_a_link_to_a_git_directory_stays_and_what_it_leads_to_is_protected(tmp_path: Path) -> None:
    repository(tmp_path / "store/git")
    (tmp_path / ".git").symlink_to("store/git")
    assert planned(tmp_path) == {
        ".git": LINK,
        "store": PIN,
        "store/git": PIN,
        "store/git/config": PROTECT,
        "store/git/hooks": PROTECT,
    }


def test_a_git_directory_can_be_moved_only_with_the_places_that_use_it(tmp_path: Path) -> None:
    repository(tmp_path / "group/nested/.git")
    assert {path for path, kind in planned(tmp_path).items() if kind is PIN} == {"group/nested/.git"}
    # Beside its work tree, it has to stay there.
    repository(tmp_path / "group/x.git")
    put(tmp_path / "group/x/.git", "gitdir: ../x.git")
    assert {path for path, kind in planned(tmp_path).items() if kind is PIN} == {"group/nested/.git", "group/x.git"}
    # One that the session works in stays where it is.
    assert planned(tmp_path, at="group/x").items() >= {"group": PIN, "group/x": PIN, "group/x.git": PIN}.items()
    # So does one that a place elsewhere uses.
    worktree(tmp_path / "group/nested/.git", "w", tmp_path / "tree")
    assert planned(tmp_path).items() >= {"group": PIN, "group/nested": PIN}.items()


def test_a_worktree_stays_where_its_repository_looks_for_it_but_may_move_with_what_is_above(tmp_path: Path) -> None:
    worktree(repository(tmp_path / "group/x/.git"), "w", tmp_path / "group/trees/w")
    assert {path for path, kind in planned(tmp_path).items() if kind is PIN} == {
        *("group/x", "group/x/.git", "group/x/.git/worktrees", "group/x/.git/worktrees/w", "group/trees/w"),
    }


def test_a_bare_repository_that_nothing_uses_can_be_moved(tmp_path: Path) -> None:
    repository(tmp_path / "srv/x.git")
    assert planned(tmp_path) == {"srv/x.git/config": PROTECT, "srv/x.git/hooks": PROTECT}
    assert planned(tmp_path, at="srv/x.git").items() >= {"srv": PIN, "srv/x.git": PIN}.items()


def test_a_submodule_that_is_not_checked_out_stays_in_its_repository(tmp_path: Path) -> None:
    repository(tmp_path / "x/.git/modules/a/b")
    repository(tmp_path / "x/.git")
    found = planned(tmp_path)
    assert {path for path, kind in found.items() if kind is PIN} == {
        "x/.git", "x/.git/modules", "x/.git/modules/a", "x/.git/modules/a/b",
    }  # fmt: skip
    assert found["x/.git/modules/a/b/hooks"] is PROTECT


def test_what_a_setting_names_is_protected(tmp_path: Path) -> None:
    put(repository(tmp_path / ".git") / "config", "[core]\nhooksPath = tools/hooks\n[include]\npath = ../extra\n")
    put(tmp_path / "tools/hooks/x")
    (tmp_path / "extra").symlink_to("tools/settings")
    put(tmp_path / "tools/settings")
    found = planned(tmp_path)
    assert found["tools"] is PIN
    assert found["tools/hooks"] is found["tools/settings"] is PROTECT
    assert found["extra"] is LINK
    assert "tools" not in planned(tmp_path, ".git/hooks")


def test_what_is_named_by_an_absolute_path_stays_where_it_is(tmp_path: Path) -> None:
    put(tmp_path / "root/dotfiles/git/config", f"[core]\nhooksPath = {tmp_path}/root/a/w/hooks\n")
    put(tmp_path / "root/a/w/hooks/x")
    repository(tmp_path / "root/a/w/.git")
    assert "a" not in planned(tmp_path / "root")
    (tmp_path / ".gitconfig").symlink_to("root/dotfiles/git/config")
    with ground(tmp_path / "root") as there:
        user = git_user.look(str(tmp_path))
        found = {cover.path: cover.kind for cover in protection.plan(there, there.root, GIT, [], user).covers}
    assert found["a/w/hooks"] is found["dotfiles/git/config"] is PROTECT
    assert found["a"] is found["a/w"] is found["dotfiles"] is found["dotfiles/git"] is PIN


@pytest.mark.parametrize("value", [".", "./", "sub/..", "{root}", "~/{name}", ".git", ".git/hooks/.."])
def test_a_setting_that_names_what_the_session_works_in_is_told(tmp_path: Path, value: str) -> None:
    repository(tmp_path / ".git")
    (tmp_path / "sub").mkdir()
    text = f"[core]\nhooksPath = {value.format(root=tmp_path, name=tmp_path.name)}\n"
    put(tmp_path / ".git/config", text)
    where = ".git" if value.startswith(".git") else "."
    told = (notices.git_setting_names_all("core.hookspath", str(tmp_path), where),)
    assert planned(tmp_path, told=told) == {".git": PIN, ".git/config": PROTECT, ".git/hooks": PROTECT}


def test_a_session_in_a_directory_of_hooks_can_work_there(tmp_path: Path) -> None:
    put(repository(tmp_path / ".git") / "config", "[core]\nhooksPath = hooks\n")
    (tmp_path / "hooks/sub").mkdir(parents=True)
    told = (notices.git_setting_names_all("core.hookspath", str(tmp_path), "hooks"),)
    assert planned(tmp_path, at="hooks/sub", told=told).keys() == {".git", ".git/config", ".git/hooks"}
    assert planned(tmp_path)["hooks"] is PROTECT


def test_a_configuration_that_is_not_read_is_told(tmp_path: Path) -> None:
    put(repository(tmp_path / ".git") / "config", "[alias]\nx = y\n" * 30_000)
    planned(tmp_path, told=(notices.git_settings_unread(str(tmp_path), ".git/config"),))


def test_the_repository_of_the_session_is_protected_whatever_keeps_the_search_busy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository(tmp_path / "a/b/.git")
    put(tmp_path / "a/b/.git/commondir", "../../../x.git")
    repository(tmp_path / "x.git")
    monkeypatch.setattr(project_walk, "_NAMES_AT_MOST", 0)
    told = (notices.directories_unsearched(str(tmp_path), "., a, a/b"),)
    found = planned(tmp_path, at="a/b", told=told)
    assert {path for path, kind in found.items() if kind is PROTECT} == {
        *("a/b/.git/config", "a/b/.git/hooks", "a/b/.git/commondir", "x.git/config", "x.git/hooks"),
    }


def test_a_project_that_is_a_git_directory_itself(tmp_path: Path) -> None:
    repository(tmp_path / "x.git")
    put(tmp_path / "x.git/commondir", ".")
    assert planned(tmp_path / "x.git") == {"commondir": PROTECT, "config": PROTECT, "hooks": PROTECT}


def test_too_much_to_cover_is_refused_with_the_directories_that_have_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(10):
        repository(tmp_path / f"decoys/{number}/.git")
    monkeypatch.setattr(covers, "COVERS_AT_MOST", 30)
    assert len(planned(tmp_path)) == 30
    monkeypatch.setattr(covers, "COVERS_AT_MOST", 29)
    with pytest.raises(Refusal) as refused:
        planned(tmp_path)
    assert "they lie in decoys" in refused.value.what


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        (["a"], "a"),
        (["a/b/c", "a/b/d"], "a/b/c, a/b/d"),
        ([f"a/{number}" for number in range(6)], "a"),
        ([f"{number}/x" for number in range(5)], "0/x, 1/x, 2/x, 3/x, 4/x"),
        ([f"{number}/{name}" for number in range(3) for name in "ab"], "0, 1, 2"),
        ([f"{number}/x" for number in range(8)], "0, 1, 2, 3, 4 and 3 more"),
        (["", "a"], "., a"),
        ([".git/x", *(f"a/{number}" for number in range(6))], "a, .git"),
    ],
)
def test_a_summary_names_a_few_directories(paths: list[str], expected: str) -> None:
    assert covers.summary(paths) == expected


def test_what_vanishes_while_it_is_looked_at_has_no_identity(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repository(tmp_path / ".git")
    real = beneath.opened

    def gone(top: int, path: str, flags: int) -> int:
        if path == ".git/hooks":
            raise FileNotFoundError(2, "gone")
        return real(top, path, flags)

    with ground(tmp_path) as there:
        monkeypatch.setattr(beneath, "opened", gone)
        found = {
            cover.path: cover.found for cover in protection.plan(there, str(tmp_path), GIT, [], UserGit("/")).covers
        }
    assert ".git/hooks" not in found or found[".git/hooks"] is None
    assert found[".git/config"] is not None


# -- any project

_NAMES = st.sampled_from(["a", "b", ".git", "HEAD", "objects", "refs", "config", "commondir", "hooks", "modules"])
_TARGETS = st.sampled_from(
    [
        "a",
        "../a",
        "../../a/b",
        ".git",
        "../.git",
        "..",
        ".",
        "{top}/a",
        "{top}",
        "{top}x",
        "/etc",
        "~/a",
        "",
        "a/../b/..",
    ]
)
_CONTENTS = st.one_of(
    st.just("directory"),
    _TARGETS.map(lambda target: f"link {target}"),
    _TARGETS.map(lambda target: f"gitdir: {target}\n"),
    _TARGETS.map(lambda target: f"{target}\n"),
    _TARGETS.map(lambda target: f"[core]\nhooksPath = {target}\n[include]\npath = {target}\n[alias]\nx = !{target}\n"),
)
_GIT_TREES = st.dictionaries(st.lists(_NAMES, min_size=1, max_size=4).map("/".join), _CONTENTS, max_size=14)


@given(_GIT_TREES)
def test_whatever_the_repositories_a_plan_covers_only_what_exists_inside(tree: dict[str, str]) -> None:
    with TemporaryDirectory(dir="/tmp") as name:
        top = Path(name).resolve() / "root"
        top.mkdir()
        for path, content in sorted(tree.items()):
            where = top / path
            text = content.replace("{top}", str(top))
            with suppress(OSError):
                if where.parent.resolve() != where.parent:
                    continue
                where.parent.mkdir(parents=True, exist_ok=True)
                if text == "directory":
                    where.mkdir()
                elif text.startswith("link "):
                    where.symlink_to(text.removeprefix("link ") or ".")
                else:
                    where.write_text(text)
        with ground(top) as there:
            found = protection.plan(there, str(top), GIT, [], UserGit(name)).covers
        seen: set[str] = set()
        for cover in found:
            assert (top / cover.path).parent.resolve() == (top / cover.path).parent, "the real path"
            assert os.path.lexists(top / cover.path)
            assert cover.path and not any(path.startswith(f"{cover.path}/") for path in seen)
            seen.add(cover.path)
