"""Git directories are found as git finds them. Those of real git are in checks/escapes/test_git_layouts.py."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from pi_agent.sandbox import git_directories, git_user, project_search
from pi_agent.sandbox.git_directories import Found
from pi_agent.sandbox.git_user import UserGit
from pi_agent.sandbox.project_search import Looks, TooMuch
from tests.support.limits import open_descriptors
from tests.support.projects import ground
from tests.support.trees import put


def found(root: Path, at: str = "") -> Found:
    with ground(root) as there:
        return git_directories.find(
            there, project_search.places(there, str(root / at)), UserGit(str(root.parent)), Looks()
        )


def directories(root: Path) -> dict[str, Sequence[str]]:
    """The git directories, with the places that use each."""
    return {each.path: each.works for each in found(root).directories}


def files(root: Path, path: str) -> set[tuple[str, str]]:
    """The files of a git directory, below it, with what each is."""
    (each,) = (each for each in found(root).directories if each.path == path)
    return {(os.path.relpath(file.path, path), file.what.name) for file in each.files}


def repository(path: Path) -> Path:
    """A git directory as `git init` makes it."""
    put(path / "HEAD", "ref: refs/heads/main\n")
    put(path / "config", "[core]\n\tbare = false\n")
    for name in ("objects", "refs", "hooks"):
        (path / name).mkdir()
    return path


def worktree(git: Path, name: str, work: Path) -> None:
    """A worktree as `git worktree add` makes it."""
    put(git / "worktrees" / name / "HEAD")
    put(git / "worktrees" / name / "commondir", "../..\n")
    put(git / "worktrees" / name / "gitdir", f"{work}/.git\n")
    put(work / ".git", f"gitdir: {git}/worktrees/{name}\n")


# -- where git looks


def test_a_repository_and_its_worktree(tmp_path: Path) -> None:
    worktree(repository(tmp_path / "main/.git"), "w", tmp_path / "tree")
    assert directories(tmp_path) == {"main/.git": ("main", "tree"), "main/.git/worktrees/w": ("tree",)}
    assert [file.path for file in found(tmp_path).others] == ["tree/.git"]
    assert files(tmp_path, "main/.git") == {("config", "CONFIG"), ("hooks", "HOOKS")}
    assert files(tmp_path, "main/.git/worktrees/w") == {("commondir", "POINTER"), ("gitdir", "POINTER")}


def test_a_bare_repository_that_a_dot_git_names(tmp_path: Path) -> None:
    worktree(repository(tmp_path / ".bare"), "main", tmp_path / "main")
    put(tmp_path / ".git", "gitdir: ./.bare\n")
    assert directories(tmp_path) == {".bare": ("", "main"), ".bare/worktrees/main": ("main",)}


def test_a_separate_git_directory_beside_its_work_tree(tmp_path: Path) -> None:
    repository(tmp_path / "proj.git")
    put(tmp_path / "projwt/.git", f"gitdir: {tmp_path}/proj.git")
    assert directories(tmp_path) == {"proj.git": ("projwt",)}


def test_submodules_of_many_components_and_nested_ones(tmp_path: Path) -> None:
    git = repository(tmp_path / ".git")
    nested = repository(git / "modules/a/b/c/modules/d")
    repository(git / "modules/a/b/c")
    put(tmp_path / "x/y/.git", "gitdir: ../../.git/modules/a/b/c\n")
    put(tmp_path / "x/y/d/.git", f"gitdir: {os.path.relpath(nested, tmp_path / 'x/y/d')}\n")
    assert directories(tmp_path) == {
        ".git": ("",),
        ".git/modules/a/b/c": ("x/y",),
        ".git/modules/a/b/c/modules/d": ("x/y/d",),
    }


@pytest.mark.parametrize("place", ["vendor/x", ".dot/x", "1/2/3/4/5/x", "target/x", "srv/x.git"])
def test_repositories_anywhere(tmp_path: Path, place: str) -> None:
    bare = place.endswith(".git")
    git = place if bare else f"{place}/.git"
    repository(tmp_path / git)
    assert directories(tmp_path) == {git: () if bare else (place,)}


def test_a_link_to_a_git_directory(tmp_path: Path) -> None:
    repository(tmp_path / "store/git")
    (tmp_path / ".git").symlink_to("store/git")
    assert directories(tmp_path) == {"store/git": ("",)}
    assert [file.path for file in found(tmp_path).others] == [".git"]


def test_a_git_directory_that_only_a_pointer_leads_to(tmp_path: Path) -> None:
    """It lacks what the walk goes by: git asks for HEAD in the one, and for objects in the other."""
    put(tmp_path / "common/objects/x")
    put(tmp_path / "common/config")
    put(tmp_path / "gitdir/commondir", "../common")
    put(tmp_path / ".git", "gitdir: gitdir/./../gitdir")
    assert directories(tmp_path) == {"common": ("",), "gitdir": ("",)}
    assert files(tmp_path, "common") == {("config", "CONFIG")}


# -- what leads nowhere


@pytest.mark.parametrize(
    "text",
    [
        "gitdir: {outside}",
        "gitdir: ../outside",
        "gitdir: a/../../outside",
        "gitdir: link",
        "gitdir: /nowhere",
        "gitdir: file",
        "gitdir: .git",
        "gitdir:",
        "gitdir: ",
        "nonsense",
        "gitdir: \0x",
        "gitdir: " + "x" * 70_000,
        "gitdir: " + "a/" * 5_000,
    ],
)
def test_a_pointer_out_of_the_project_or_to_nothing_is_all_there_is(tmp_path: Path, text: str) -> None:
    root = tmp_path / "root"
    repository(tmp_path / "outside")
    put(root / "place/.git", text.format(outside=tmp_path / "outside"))
    put(root / "place/file")
    (root / "place/a").mkdir()
    (root / "place/link").symlink_to(tmp_path / "outside")
    assert directories(root).keys() <= {"place"}
    assert [file.path for file in found(root).others] == ["place/.git"]


def test_a_common_directory_outside_is_not_followed(tmp_path: Path) -> None:
    repository(tmp_path / "outside")
    put(repository(tmp_path / "root/.git") / "commondir", f"{tmp_path}/outside")
    assert directories(tmp_path / "root") == {".git": ("",)}


def test_pipes_in_place_of_files_keep_nobody_waiting(tmp_path: Path) -> None:
    git = repository(tmp_path / ".git")
    (git / "config").unlink()
    for path in (git / "config", git / "commondir", tmp_path / "a.git"):
        os.mkfifo(path)
    (tmp_path / "x").mkdir()
    os.mkfifo(tmp_path / "x/.git")
    assert files(tmp_path, ".git") == {("config", "CONFIG"), ("commondir", "POINTER"), ("hooks", "HOOKS")}
    assert [file.path for file in found(tmp_path).others] == ["x/.git"]


def test_chains_and_loops_of_pointers_end(tmp_path: Path) -> None:
    for number in range(300):
        put(tmp_path / f"{number}/.git", f"gitdir: ../{number + 1}")
        put(tmp_path / f"{number}/commondir", f"../{number + 1}")
        put(tmp_path / f"{number}/HEAD")
    (tmp_path / "300").symlink_to("0")
    assert len(found(tmp_path).others) == 300


# -- what settings name


def settings(root: Path, text: str, git: str = ".git") -> list[tuple[str, str]]:
    """What the settings of a new repository name: path and setting."""
    put(repository(root / git) / "config", text)
    return [(file.path, file.setting) for each in found(root).directories for file in each.files if file.setting]


def test_what_settings_name_in_the_project_is_found(tmp_path: Path) -> None:
    for name in ("tools/hooks/x", "extra", ".git/inner", "scripts/clean.sh", "attributes", "revs", "more", "signers"):
        put(tmp_path / name)
    put(tmp_path / "extra", f"[include]\npath = more\npath = {tmp_path}/gone\n")
    put(tmp_path / "more", "[core]\nattributesFile = attributes\n[include]\npath = extra\n")
    text = f"""[core]
        hooksPath = tools/hooks
        pager = less
    [include]
        path = ../extra
        path = inner
    [filter "x"]
        clean = sh "scripts/clean.sh" %f
    [blame]
        ignoreRevsFile = {tmp_path}/revs
    [gpg "ssh"]
        allowedSignersFile = ~/{tmp_path.name}/signers
    """
    assert {(os.path.normpath(path), key) for path, key in settings(tmp_path, text)} == {
        ("tools/hooks", "core.hookspath"),
        ("extra", "include.path"),
        (".git/inner", "include.path"),
        ("scripts/clean.sh", "filter.x.clean"),
        ("revs", "blame.ignorerevsfile"),
        ("signers", "gpg.ssh.allowedsignersfile"),
        ("more", "include.path"),
        ("attributes", "core.attributesfile"),
    }


def test_paths_outside_are_left_alone(tmp_path: Path) -> None:
    root = tmp_path / "root"
    put(tmp_path / "outside/x")
    put(root / "scripts/x")
    text = f"[core]\nhooksPath = {tmp_path}/outside\neditor = ../outside/x\n[include]\npath = ../../outside/x\n"
    assert settings(root, text + "[alias]\nst = status scripts\n[init]\ntemplateDir = ~bob/x\n") == []


def test_a_command_runs_in_each_place_that_uses_the_repository(tmp_path: Path) -> None:
    git = repository(tmp_path / "x.git")
    for name in ("one", "two"):
        worktree(git, name, tmp_path / name)
        put(tmp_path / name / ".githooks/pre-commit")
    put(tmp_path / "x.git/.githooks/x")
    put(git / "config", "[core]\nhooksPath = .githooks\n")
    each = next(each for each in found(tmp_path).directories if each.path == "x.git")
    assert sorted(file.path for file in each.files if file.setting) == ["one/.githooks", "two/.githooks"]
    # Without a place, hooks run in the git directory.
    assert settings(tmp_path / "other", "[core]\nhooksPath = hooks\n", "y.git") == [("y.git/hooks", "core.hookspath")]


def test_the_users_own_settings_hold_in_every_repository(tmp_path: Path) -> None:
    root = tmp_path / "root"
    for name in ("a", "b"):
        repository(root / name / ".git")
        put(root / name / ".githooks/x")
        put(root / name / "scripts/lo")
        put(root / name / "vi")
    for name in ("settings", "dotfiles/gitconfig", "dotfiles/more", "hooks/x"):
        put(root / name)
    put(root / "settings", "[core]\neditor = hooks/../vi\n")
    home = tmp_path / "home"
    put(root / "dotfiles/gitconfig", f"[core]\nhooksPath = .githooks\n[include]\npath = {root}/settings\n")
    put(home / ".config/git/config", "[include]\npath = more\n[alias]\nlo = !sh scripts/lo\n[core]\neditor = vi\n")
    (home / ".gitconfig").symlink_to(root / "dotfiles/gitconfig")
    (home / ".config/git/more").symlink_to(root / "dotfiles/more")
    with ground(root) as there:
        user = git_user.look(str(home))
        its = git_directories.find(there, project_search.places(there, str(root)), user, Looks())
    named = {each.path: {file.path for file in each.files if file.setting} for each in its.directories}
    assert named["a/.git"] == {"a/.githooks", "a/scripts/lo", "settings"}
    assert named["b/.git"] == {"b/.githooks", "b/scripts/lo", "settings"}
    assert {file.path for file in its.others} == {"dotfiles/gitconfig", "dotfiles/more", "settings"}


def test_a_configuration_that_is_too_large_is_told(tmp_path: Path) -> None:
    line = "[alias]\nx = y\n"
    put(repository(tmp_path / "plain/.git") / "config", "[core]\nx = y\n" * 1_000)
    put(repository(tmp_path / "huge/.git") / "config", line * 30_000)
    put(repository(tmp_path / "endless/.git") / "config")
    os.truncate(tmp_path / "endless/.git/config", 1 << 40)
    assert {*found(tmp_path).unread} == {"huge/.git/config", "endless/.git/config"}
    for number in range(12):
        put(repository(tmp_path / f"{number:02}/.git") / "config", line * 18_000)
    unread = {*found(tmp_path).unread}
    assert "00/.git/config" not in unread
    assert "11/.git/config" in unread


def test_what_many_words_may_name_is_bounded(tmp_path: Path) -> None:
    put(tmp_path / "x")
    command = "/".join(["."] * 100 + ["x"])
    text = f"[alias]\na = {' '.join([command] * 60)}\n"
    assert settings(tmp_path, text) == [(command, "alias.a")]
    put(tmp_path / ".git/config", text * 20)
    assert found(tmp_path).unread == (".git/config",)
    put(tmp_path / ".git/config", f"[core]\nhooksPath = {'./' * 3_000}x\n")
    assert [file for each in found(tmp_path).directories for file in each.files if file.setting] == []


# -- bounds


def test_every_pointer_and_configuration_counts_as_a_look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(10):
        put(tmp_path / f"{number}/.git", "gitdir: ../none")
        repository(tmp_path / f"r{number}/.git")
    monkeypatch.setattr(project_search, "LOOKS_AT_MOST", 40)
    assert len(found(tmp_path).directories) == 10
    monkeypatch.setattr(project_search, "LOOKS_AT_MOST", 39)
    with pytest.raises(TooMuch):
        found(tmp_path)


def test_no_descriptor_is_left_open(tmp_path: Path) -> None:
    worktree(repository(tmp_path / ".git"), "w", tmp_path / "tree")
    put(tmp_path / "x/.git", "gitdir: ../../..")
    (tmp_path / "y").mkdir()
    (tmp_path / "y/.git").symlink_to("../.git/config")
    before = open_descriptors()
    found(tmp_path)
    assert open_descriptors() == before
