from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pi_agent.sandbox import project_search, project_walk
from pi_agent.sandbox.pattern_index import PatternIndex
from pi_agent.sandbox.project_search import Looks, Match, TooMuch
from tests.support.limits import open_descriptors
from tests.support.projects import ground
from tests.support.trees import put


def matches(root: Path, *patterns: str, place: str = "") -> list[Match]:
    with ground(root) as there:
        at = project_walk.listed(there.descriptor, place)
        return [*project_search.matches_at(there, at, PatternIndex(patterns), Looks())]


def matching(root: Path, *patterns: str, place: str = "") -> set[str]:
    """The names that the patterns match."""
    return {match.name for match in matches(root, *patterns, place=place)}


# -- places


def test_the_root_every_directory_down_to_the_session_and_repositories_are_places(tmp_path: Path) -> None:
    put(tmp_path / "there/.git/config")
    (tmp_path / "a/b/c").mkdir(parents=True)
    with ground(tmp_path) as there:
        found = project_search.places(there, str(tmp_path / "a/b"))
    assert [place.path for place in found.places] == ["", "a", "a/b", "there"]


# -- names and patterns


@given(st.text("ab*", max_size=8), st.text("ab*?[]", max_size=6))
def test_a_star_stands_for_any_characters_and_nothing_else_does(name: str, pattern: str) -> None:
    expression = ".*".join(map(re.escape, pattern.split("*")))
    assert project_search.fits(name, pattern) is bool(re.fullmatch(expression, name, re.DOTALL))


@pytest.mark.parametrize("pattern", ["*" * 30, "*a" * 30 + "b", "a*" * 30])
def test_no_pattern_takes_long(pattern: str) -> None:
    assert project_search.fits("a" * 255, pattern) is not pattern.endswith("b")


def test_a_star_stands_for_part_of_one_component(tmp_path: Path) -> None:
    for name in ("one", "two", ".dot", "three/deep"):
        put(tmp_path / f".git/modules/{name}/hooks/x")
    put(tmp_path / "checks.code-workspace")
    put(tmp_path / "code-workspace")
    assert matching(tmp_path, ".git/modules/*/hooks", "*.code-workspace") == {
        ".git/modules/.dot/hooks", ".git/modules/one/hooks", ".git/modules/two/hooks", "checks.code-workspace",
    }  # fmt: skip


def test_a_star_matches_in_any_case_since_a_file_system_may_ignore_it(tmp_path: Path) -> None:
    put(tmp_path / "Mise.Local.TOML")
    put(tmp_path / "a.Code-Workspace")
    assert matching(tmp_path, "mise.*.toml", "*.code-workspace") == {"Mise.Local.TOML", "a.Code-Workspace"}


def test_brackets_and_question_marks_are_letters(tmp_path: Path) -> None:
    for name in ("[ab]", "[ab]c", "a", "what?", "whats"):
        put(tmp_path / name)
    assert matching(tmp_path, "[ab]", "what?", "[ab]*") == {"[ab]", "[ab]c", "what?"}


def test_patterns_are_looked_for_below_their_place_only(tmp_path: Path) -> None:
    put(tmp_path / ".envrc")
    put(tmp_path / "a/.envrc")
    assert matching(tmp_path, ".envrc", place="a") == {"a/.envrc"}
    assert matching(tmp_path, ".envrc", "*", place="gone") == set()


def test_a_file_in_place_of_a_directory_is_what_matches(tmp_path: Path) -> None:
    """As the `.git` of a submodule or a worktree."""
    put(tmp_path / ".git", "gitdir: ../.git/modules/lib\n")
    assert matching(tmp_path, ".git/hooks", ".git/config", ".git/modules/*/hooks") == {".git"}


def test_a_file_that_a_star_matched_is_no_directory_to_look_into(tmp_path: Path) -> None:
    put(tmp_path / ".git/modules/README")
    assert matching(tmp_path, ".git/modules/*/hooks") == set()


# -- links


def test_a_match_says_where_its_name_leads_and_by_which_links(tmp_path: Path) -> None:
    put(tmp_path / "store/git/hooks/x")
    (tmp_path / "store/link").symlink_to("git")
    (tmp_path / ".git").symlink_to(tmp_path / "store/link")
    (match,) = matches(tmp_path, ".git/hooks")
    assert (match.name, match.path, match.links) == (".git/hooks", "store/git/hooks", (".git", "store/link"))
    assert match.mode == (tmp_path / "store/git/hooks").stat().st_mode


@pytest.mark.parametrize("target", ["../outside", "/etc", "nowhere", ".envrc"])
def test_a_link_that_leads_out_or_nowhere_is_itself_the_match(tmp_path: Path, target: str) -> None:
    put(tmp_path / "outside")
    (tmp_path / "root").mkdir()
    (tmp_path / "root/.envrc").symlink_to(target)
    (match,) = matches(tmp_path / "root", ".envrc")
    assert (match.path, match.links) == (".envrc", ())
    assert (match.mode & 0o170000) == 0o120000


def test_a_link_out_of_the_project_that_is_reached_through_another_is_told_by_its_real_path(tmp_path: Path) -> None:
    put(tmp_path / "outside/hooks/x")
    (tmp_path / "root/store/git").mkdir(parents=True)
    (tmp_path / "root/store/git/hooks").symlink_to("../../../outside/hooks")
    (tmp_path / "root/.git").symlink_to("store/git")
    (match,) = matches(tmp_path / "root", ".git/hooks")
    assert (match.path, match.links) == ("store/git/hooks", (".git",))


# -- bounds and failures


def test_every_look_counts_whether_something_is_found_or_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path / "a")
    for enough, patterns in ((1, ["A"]), (1, ["a"]), (3, ["A", "a", "a"]), (2, ["*"])):
        with ground(tmp_path) as there:
            place = project_walk.listed(there.descriptor, "")
            monkeypatch.setattr(project_search, "LOOKS_AT_MOST", enough)
            assert len([*project_search.matches_at(there, place, PatternIndex(patterns), Looks())]) <= enough
            monkeypatch.setattr(project_search, "LOOKS_AT_MOST", enough - 1)
            with pytest.raises(TooMuch):
                list(project_search.matches_at(there, place, PatternIndex(patterns), Looks()))


def test_what_a_listing_lacks_is_not_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path / "a")
    monkeypatch.setattr(project_search, "LOOKS_AT_MOST", 0)
    assert matches(tmp_path, "b", "b/c", "*b") == []
    # Other file systems may find it under another name, and a listing may have been given up.
    put(tmp_path / "\N{LATIN SMALL LETTER SHARP S}")
    with pytest.raises(TooMuch):
        matches(tmp_path, "ss")
    (tmp_path / "\N{LATIN SMALL LETTER SHARP S}").unlink()
    monkeypatch.setattr(project_walk.listed, "__defaults__", (0,))
    with pytest.raises(TooMuch):
        matches(tmp_path, "b")


_MANY = [f".config/{name}" for name in ("a", "b", "c*", "d/e", "f", "g", "h")]


@pytest.mark.parametrize("shape", ["directory", "link", "file", "link out", "empty", "large"])
def test_below_a_directory_of_many_patterns_the_same_is_found_as_one_by_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shape: str
) -> None:
    top = tmp_path / "top"
    for name in ("a", "cc", "d/e", "other"):
        put(top / ".config" / name)
    if shape in ("link", "link out"):
        aside = top / "real" if shape == "link" else tmp_path / "out"
        (top / ".config").rename(aside)
        (top / ".config").symlink_to(aside)
    elif shape in ("file", "empty"):
        (top / ".config").rename(tmp_path / "aside")
        put(top / ".config") if shape == "file" else (top / ".config").mkdir()
    elif shape == "large":
        monkeypatch.setattr(project_search, "_LISTED_AT_MOST", 2)
    together = {match.name for match in matches(top, *_MANY)}
    assert together == {match.name for pattern in _MANY for match in matches(top, pattern)}
    assert bool(together) is (shape != "empty")


def test_what_exists_is_found_at_every_place(tmp_path: Path) -> None:
    for name in (".envrc", "a/.envrc", "there/.envrc", "there/.git/hooks/x", "beside/.envrc"):
        put(tmp_path / name)
    with ground(tmp_path) as there:
        wanted, looks = PatternIndex([".envrc", ".git/hooks"]), Looks()
        places = project_search.places(there, str(tmp_path / "a")).places
        found = {match.name for place in places for match in project_search.matches_at(there, place, wanted, looks)}
        assert found == {".envrc", "a/.envrc", "there/.envrc", "there/.git/hooks"}


def test_a_search_leaves_no_descriptor_open(tmp_path: Path) -> None:
    put(tmp_path / "a/.git/config")
    (tmp_path / "a/loop").symlink_to("loop")
    (tmp_path / "a/out").symlink_to("/etc")
    before = open_descriptors()
    matches(tmp_path, ".git/config", "loop/x", "out/passwd", "no", "*/config", "out/*", place="a")
    matches(tmp_path, "x", place="gone")
    assert open_descriptors() == before


def test_a_long_path_is_followed_where_no_link_is_on_its_way(tmp_path: Path) -> None:
    put(tmp_path / "a/b/file")
    (tmp_path / "link").symlink_to("a")
    with ground(tmp_path) as there:
        for path in ("a/../a/b/file", "a/../" * 500 + "a/b/file", "link/../" * 20 + "a/../" * 100 + "a/b/file"):
            found = project_search.match(there, path)
            assert found is not None and found.path == "a/b/file", path
        for path in ("link/../" * 20 + "a/../" * 120 + "a/b/file", "a/../" * 500 + "gone", "../x", "a/../../x"):
            assert project_search.match(there, path) is None, path


def test_a_path_costs_what_it_may_take_to_follow_it() -> None:
    assert [project_search.cost(path) for path in ("a", "a/b", "a/" * 255 + "b")] == [1, 2, 256]
    assert project_search.cost("a/" * 256 + "b") < 10
