from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from pi_agent.linux import beneath
from pi_agent.sandbox import project_walk
from pi_agent.sandbox.project_walk import Walked
from tests.support.limits import open_descriptors
from tests.support.trees import put


def walked(root: Path, *first: str) -> Walked:
    top = os.open(root, os.O_PATH)
    try:
        return project_walk.walk(top, ["", *first])
    finally:
        os.close(top)


def places(root: Path, *first: str) -> list[str]:
    return sorted(place.path for place in walked(root, *first).places)


def git_directories(root: Path) -> set[str]:
    return {each.path for each in walked(root).git_directories}


def bare(path: Path) -> None:
    """What git takes for a git directory."""
    put(path / "HEAD")
    (path / "objects").mkdir()
    (path / "refs").mkdir()


# -- places


def test_where_the_walk_begins_is_a_place(tmp_path: Path) -> None:
    (tmp_path / "a/b/c").mkdir(parents=True)
    (tmp_path / "x").mkdir()
    assert places(tmp_path) == [""]
    assert places(tmp_path, "a", "a/b") == ["", "a", "a/b"]


@pytest.mark.parametrize("kind", ["directory", "file", "link"])
def test_a_directory_with_a_dot_git_is_a_place_once(tmp_path: Path, kind: str) -> None:
    (tmp_path / "there/below").mkdir(parents=True)
    if kind == "directory":
        (tmp_path / "there/.git").mkdir()
    elif kind == "file":
        put(tmp_path / "there/.git")
    else:
        (tmp_path / "there/.git").symlink_to("nowhere")
    assert places(tmp_path) == ["", "there"]
    assert places(tmp_path, "there", "there/below") == ["", "there", "there/below"]


@pytest.mark.parametrize("place", ["a", "a/b/c/d/e/f", "vendor/x", ".dot/x", "target/x/y", "node_modules/x", "build"])
def test_repositories_are_found_at_any_depth_and_in_any_directory(tmp_path: Path, place: str) -> None:
    put(tmp_path / place / ".git/config")
    assert places(tmp_path) == ["", place]


def test_of_installed_packages_only_these_themselves_are_looked_at(tmp_path: Path) -> None:
    for name in ("x", "@scope/y", "@scope/z/deeper", "x/node_modules/inner", "@scope/@no/a"):
        put(tmp_path / "node_modules" / name / ".git/config")
    assert places(tmp_path) == ["", "node_modules/@scope/y", "node_modules/x", "node_modules/x/node_modules/inner"]


def test_no_link_leads_to_a_repository(tmp_path: Path) -> None:
    put(tmp_path / "outside/.git/config")
    (tmp_path / "root/inside").mkdir(parents=True)
    (tmp_path / "root/link").symlink_to(tmp_path / "outside")
    (tmp_path / "root/loop").symlink_to(".")
    assert places(tmp_path / "root") == [""]
    assert [each.names for each in walked(tmp_path / "root", "link").places][1:] == [set()]


def test_a_name_in_capitals_is_a_place_as_well(tmp_path: Path) -> None:
    """On a file system that ignores case, git takes it."""
    put(tmp_path / "a/.GIT/config")
    assert places(tmp_path) == ["", "a"]


def test_hundreds_of_repositories_are_all_found(tmp_path: Path) -> None:
    expected = {f"{number % 20}/{number}" for number in range(400)}
    for place in expected:
        put(tmp_path / place / ".git/config")
    assert {*places(tmp_path)} == {"", *expected}


# -- git directories


def test_what_looks_like_a_git_directory_is_one_wherever_it_lies(tmp_path: Path) -> None:
    expected = {".git", ".git/modules/a/b/c", ".git/modules/a/b/c/modules/d", "srv/x.git", ".git/modules/a/b/c/inner"}
    for path in expected:
        bare(tmp_path / path)
    put(tmp_path / ".git/worktrees/tree/HEAD")
    put(tmp_path / ".git/worktrees/tree/commondir")
    for name in ("HEAD", "objects/x"):
        put(tmp_path / "plain" / name)
    assert git_directories(tmp_path) == {*expected, ".git/worktrees/tree"}


def test_what_git_keeps_in_a_git_directory_is_not_searched(tmp_path: Path) -> None:
    bare(tmp_path / ".git")
    bare(tmp_path / ".git/objects/ab")
    bare(tmp_path / "objects/ab")
    assert git_directories(tmp_path) == {".git", "objects/ab"}


# -- bounds and failures


def test_a_walk_that_is_given_up_says_what_it_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(5):
        put(tmp_path / f"{number}/.git/config")
    monkeypatch.setattr(project_walk, "_DIRECTORIES_AT_MOST", 11)
    assert walked(tmp_path).unsearched == ()
    monkeypatch.setattr(project_walk, "_DIRECTORIES_AT_MOST", 5)
    found = walked(tmp_path)
    assert len(found.places) == 5
    assert {path.partition("/")[0] for path in found.unsearched} == {*"01234"}
    assert len(found.unsearched) == 5


def test_what_tools_fill_is_left_out_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("target", "build", "node_modules", "dist", "result", "z"):
        put(tmp_path / name / ".git")
    monkeypatch.setattr(project_walk, "_DIRECTORIES_AT_MOST", 2)
    found = walked(tmp_path)
    assert [place.path for place in found.places] == ["", "z"]
    assert sorted(found.unsearched) == ["build", "dist", "node_modules", "result", "target"]


def test_a_directory_with_too_many_names_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(5):
        put(tmp_path / "many" / str(number))
    monkeypatch.setattr(project_walk, "_NAMES_AT_MOST", 6)
    assert walked(tmp_path).unsearched == ()
    monkeypatch.setattr(project_walk, "_NAMES_AT_MOST", 5)
    assert walked(tmp_path).unsearched == ("many",)
    monkeypatch.setattr(project_walk, "_NAMES_AT_MOST", 1)
    assert walked(tmp_path).unsearched == ("many",)


def test_where_the_walk_begins_is_a_place_even_if_it_is_given_up_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    for bound in ("_NAMES_AT_MOST", "_DIRECTORIES_AT_MOST"):
        with monkeypatch.context() as limited:
            limited.setattr(project_walk, bound, 1)
            found = walked(tmp_path, "a", "a/b")
            assert [(place.path, place.whole) for place in found.places] == [("", True), ("a", False), ("a/b", False)]
            assert found.unsearched == ("a", "a/b")


def test_a_directory_that_cannot_be_listed_is_told(ordinary: Path) -> None:
    put(ordinary / "shut/.git/config")
    put(ordinary / "open/.git/config")
    (ordinary / "shut").chmod(0)
    try:
        found = walked(ordinary)
        assert [place.path for place in found.places] == ["", "open"]
        assert found.unsearched == ("shut",)
        # One on the way to the session is a place all the same.
        (begun,) = (each for each in walked(ordinary, "shut").places if each.path == "shut")
        assert not begun.whole
    finally:
        (ordinary / "shut").chmod(0o700)


@pytest.mark.parametrize("where", [beneath, os])
@pytest.mark.parametrize("number", [errno.EIO, errno.EMFILE, errno.ENOSYS])
def test_what_the_machine_fails_to_show_is_not_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: object, number: int
) -> None:
    put(tmp_path / "a/.git/config")

    def failing(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(where, "opened" if where is beneath else "scandir", failing)
    with pytest.raises(OSError, match=os.strerror(number)):
        walked(tmp_path)


def test_a_walk_leaves_no_descriptor_open(tmp_path: Path) -> None:
    put(tmp_path / "a/.git/config")
    put(tmp_path / "node_modules/x/.git")
    (tmp_path / "a/loop").symlink_to("loop")
    before = open_descriptors()
    walked(tmp_path, "a", "a/loop", "gone")
    assert open_descriptors() == before
