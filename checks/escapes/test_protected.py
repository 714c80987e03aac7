"""Attempts on files of a project that the host runs by itself: the agent can read, but not change or move them.

Each attempt is made inside, on its own. Afterwards the host checks whether anything about the file has changed, and
works in the repository as its user does, to see that nothing planted runs.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.commands import inside
from support.fresh import fresh
from support.installed import demo, home
from support.repositories import (
    FORTRESS,
    OWN,
    PROTECTED,
    TRAP,
    assert_nothing_planted_runs,
    fortress,
    on_host,
    snapshot,
)

from escapes.case import attempt
from escapes.tampering import IMPOSSIBLE, NAMES, PLANT, POSSIBLE, made, made_in_one_session

__all__ = ["fortress"]


def work_tree(path: str) -> str:
    """The repository of FORTRESS that holds a protected path, relative to the project; empty for the project itself."""
    return next((name for name in ("inner", "deep/er/est", "lib", "tree") if path.startswith(f"{name}/")), "")


@pytest.fixture(autouse=True)
def as_new(request: pytest.FixtureRequest) -> None:
    """Restore people's files for each test, except those that examine what one session did."""
    if "besieged" not in request.fixturenames:
        request.getfixturevalue("afresh")


@pytest.fixture(scope="module")
def besieged(pristine: Path) -> Iterator[dict[str, tuple[str, object, object]]]:
    """What one session could do to each path, and the state of the path before and after."""
    with fresh(pristine):
        on_host(FORTRESS)
        before = {path: snapshot(demo("alice") / path) for path in PROTECTED}
        answers = made_in_one_session({path: work_tree(path) or "." for path in PROTECTED})
        yield {path: (answers[path], before[path], snapshot(demo("alice") / path)) for path in PROTECTED}


@pytest.mark.parametrize("path", PROTECTED)
@attempt("protected", "change or replace a path that the host runs by itself")
def test_no_attempt_changes_or_replaces(path: str, besieged: dict[str, tuple[str, object, object]]) -> None:
    said, before, after = besieged[path]
    assert said == ""
    assert before
    assert after == before
    # It can still be read.
    inside('find "$1" -type f -exec cat {} + >/dev/null', path).ok()


@pytest.mark.parametrize("kind", POSSIBLE)
def test_each_attempt_succeeds_on_an_ordinary_path(kind: str) -> None:
    copy = {"file": "echo x >copy", "directory": "mkdir -p copy/sub; echo x >copy/file"}[kind]
    on_host(f"{copy}; mkdir beside; cp -r copy beside/one")
    assert made("beside/one", "copy") == POSSIBLE[kind]
    assert NAMES == {*POSSIBLE["file"], *POSSIBLE["directory"], *IMPOSSIBLE}


@attempt("protected", "remove everything and begin anew")
def test_removing_everything_that_can_be_removed_leaves_what_is_protected(fortress: Path) -> None:
    protected = [path for path in PROTECTED if (fortress / path).exists()]
    before = {path: snapshot(fortress / path) for path in protected}
    inside("chmod -R u+rwx . ; rm -rf ./* ./.[!.]* ; git init; git config core.hooksPath /tmp; true", timeout=60).ok()
    assert not (fortress / "README").exists()
    assert {path: snapshot(fortress / path) for path in protected} == before


@attempt("protected", "plant code that the next commit on the host runs")
def test_a_commit_on_the_host_runs_nothing_that_the_agent_tried_to_plant(fortress: Path) -> None:
    inside(PLANT, timeout=60)
    assert_nothing_planted_runs(fortress, fortress / "inner", fortress / "deep/er/est", fortress / "lib")
    # Her own hooks ran, so planted ones would have run too.
    assert (home("alice") / OWN).read_text() == "hook\n" * 4


def test_the_trap_would_catch_a_planted_hook(fortress: Path) -> None:
    # A path that does not exist is not protected: nothing is created to protect it.
    on_host("git init --quiet --template= bare-bones", fortress)
    inside(
        "mkdir .git/hooks; printf '#!/bin/sh\\ntouch ~/planted-code-ran\\n' >.git/hooks/post-commit;"
        "chmod +x .git/hooks/post-commit",
        cwd=fortress / "bare-bones",
    ).ok()
    with pytest.raises(AssertionError):
        assert_nothing_planted_runs(fortress / "bare-bones")


@pytest.mark.xfail(strict=True, reason="a file .git/commondir has git take hooks and settings from elsewhere")
@attempt("protected", "have git take its hooks from elsewhere (.git/commondir)")
def test_a_new_commondir_does_not_redirect_git(fortress: Path) -> None:
    inside(
        "cp -r .git evil; mkdir -p evil/hooks; rm -rf evil/hooks evil/config;"
        "mkdir evil/hooks; printf '#!/bin/sh\\ntouch ~/planted-code-ran\\n' >evil/hooks/post-commit;"
        "chmod +x evil/hooks/post-commit; cp .git/config evil/config; echo ../evil >.git/commondir"
    )
    on_host("git commit --quiet --allow-empty --message 'By herself' || true")
    assert not (home("alice") / TRAP).exists()


@attempt("protected", "replace a nested repository as a whole")
def test_a_nested_repository_as_a_whole_cannot_be_replaced(fortress: Path) -> None:
    inside(
        "mv inner moved; cp -r moved inner; printf '#!/bin/sh\\ntouch ~/planted-code-ran\\n' "
        ">inner/.git/hooks/post-commit;"
        "chmod +x inner/.git/hooks/post-commit"
    )
    assert_nothing_planted_runs(fortress / "inner")


@attempt("protected", "move a nested repository out of its protection")
def test_moving_a_nested_repository_takes_its_protection_along(fortress: Path) -> None:
    before = snapshot(fortress / "inner/.git/hooks")
    inside("mv inner other; ! touch other/.git/hooks/planted; ! mv other/.git other/git; ! rm other/.git/config").ok()
    moved = snapshot(fortress / "other/.git/hooks")
    assert list(moved.values()) == list(before.values())


@attempt("protected", "replace a directory above the working directory")
def test_the_directories_between_the_root_and_the_working_directory_cannot_be_replaced(fortress: Path) -> None:
    on_host("mkdir -p deep/er/place; echo x >deep/.envrc; echo y >deep/er/place/.envrc", fortress)
    cwd = fortress / "deep/er/place"
    for path in ("../../.envrc", ".envrc"):
        assert inside('echo x >>"$1" || mv "$1" x || rm "$1"', path, cwd=cwd).status != 0
    assert inside("cd ../..; mv er re || mv place elsewhere || mv ../deep ../shallow", cwd=cwd).status != 0
    assert (cwd / ".envrc").read_text() == "y\n"
    inside("cd ..; touch free; mv free freed; mkdir d; mv d e", cwd=cwd).ok()


@pytest.fixture
def linked() -> Path:
    """A project whose `.git` is a link to a directory in it."""
    on_host("mkdir store; mv .git store/git; ln -s store/git .git; git status")
    return demo("alice")


@attempt("protected", "change a git directory where its link leads")
def test_a_git_directory_behind_a_link_is_protected_where_it_is(linked: Path) -> None:
    before = snapshot(linked / "store/git/hooks")
    inside("git commit --quiet --no-verify --allow-empty -m inside").ok()
    for path in (".git", "store/git"):
        script = 'echo x >>"$1/config" || touch "$1/hooks/planted" || mv "$1/hooks" "$1/old" || mv "$1/config" "$1/c"'
        assert inside(script, path).status != 0, path
    assert inside("mv store/git store/other").status != 0
    assert snapshot(linked / "store/git/hooks") == before


@attempt("protected", "replace a link to a git directory")
def test_a_link_to_a_git_directory_cannot_be_replaced(linked: Path) -> None:
    assert inside("rm -f .git && mkdir .git || mv -T .git old || ln -sfT evil .git").status != 0
    assert os.readlink(linked / ".git") == "store/git"


@attempt("protected", "replace a directory above the end of a link")
def test_a_directory_above_what_a_link_leads_to_cannot_be_replaced(linked: Path) -> None:
    assert inside("mv store away && mkdir -p store/git/hooks").status != 0
    assert (linked / "store/git/config").exists()


@pytest.mark.parametrize("name", [".envrc", ".vscode", ".pi"])
@attempt("protected", "replace a protected link")
def test_a_protected_link_cannot_be_replaced(name: str) -> None:
    target = "shared-file" if name == ".envrc" else "shared-directory"
    on_host(f"echo x >shared-file; mkdir shared-directory; ln -s {target} {name}")
    assert inside(f"rm {name} && echo planted >{name}").status != 0
    assert inside(f"mv -T {name} moved || ln -sfT README {name}").status != 0
    assert os.readlink(demo("alice") / name) == target


@attempt("protected", "change hooks where their link leads")
def test_hooks_behind_a_link_are_protected_where_they_are(fortress: Path) -> None:
    on_host("mv .git/hooks scripts; ln -s ../scripts .git/hooks; git commit --quiet --allow-empty -m x", fortress)
    before = snapshot(fortress / "scripts")
    for path in (".git/hooks", "scripts"):
        assert inside('touch "$1/planted" || echo x >>"$1/pre-commit"', path).status != 0
    assert inside("mv scripts other").status != 0
    assert snapshot(fortress / "scripts") == before


@pytest.mark.parametrize("where", ["tree", "lib"])
@attempt("protected", "change the repository of a worktree or submodule")
def test_a_session_in_a_worktree_or_submodule_protects_its_repository_too(where: str, fortress: Path) -> None:
    before = {path: snapshot(fortress / path) for path in PROTECTED}
    cwd = fortress / where
    inside("git commit --quiet --no-verify --allow-empty -m inside; git log -1", cwd=cwd).ok()
    script = (
        'git config core.hooksPath /tmp || touch "$(git rev-parse --git-path hooks)/planted" || mv .git x || rm .git'
    )
    assert inside(script, cwd=cwd).status != 0
    after = {path: snapshot(fortress / path) for path in PROTECTED}
    assert after == before


@pytest.mark.parametrize("where", ["p", "p/demo", "p/demo/inner", "p/demo/deep/er", "p/demo/deep/er/est"])
@attempt("protected", "change it from a session above or below")
def test_a_session_above_in_and_below_a_repository_protects_it(where: str, fortress: Path) -> None:
    before = {path: snapshot(fortress / path) for path in PROTECTED}
    relative = os.path.relpath(fortress, home("alice") / where)
    for path in (".git/hooks/planted", "inner/.git/hooks/planted", "deep/er/est/.git/hooks/planted", ".envrc"):
        assert inside('echo x >"$1"', f"{relative}/{path}", cwd=home("alice") / where).status != 0, path
    assert {path: snapshot(fortress / path) for path in PROTECTED} == before


@attempt("protected", "exhaust the search for repositories beforehand")
def test_many_empty_directories_do_not_hide_a_repository_from_its_protection() -> None:
    """A first session cannot exhaust the search of the next one."""
    on_host("git init --quiet some/where; mkdir -p noise; cd noise; mkdir $(seq 2500)")
    on_host("mkdir -p $(printf 'a%04d ' $(seq 2500))")
    assert inside("touch some/where/.git/hooks/planted").status != 0
