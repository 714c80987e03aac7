from __future__ import annotations

import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pi_agent.sandbox import self_running_table
from pi_agent.sandbox.pattern_index import PatternIndex
from pi_agent.sandbox.project_search import fits

_LETTERS = st.text("abAB.*", min_size=1, max_size=6)


def unknown(_path: str) -> None:
    """What is below a directory, where nobody can say."""


def possible(patterns: list[str], *names: str) -> list[str]:
    return sorted(PatternIndex(patterns).possible(names, unknown))


def test_a_pattern_is_possible_where_its_first_component_is_there() -> None:
    patterns = [".envrc", ".git/hooks", ".git/config", "*.code-workspace", "mise.*.toml", ".config/mise"]
    assert possible(patterns) == []
    assert possible(patterns, "src", "README") == []
    assert possible(patterns, ".envrc") == [".envrc"]
    assert possible(patterns, "src", ".git") == [".git/config", ".git/hooks"]
    assert possible(patterns, "x.code-workspace") == ["*.code-workspace"]
    assert possible(patterns, "mise.local.toml", ".config") == [".config/mise", "mise.*.toml"]


def test_part_of_a_name_is_not_the_name() -> None:
    assert possible([".envrc"], "x.envrc", ".envrc.local", ".env", "rc") == []
    assert possible(["*.ipr", ".lintstagedrc*"], "x.ipr2", "x.lintstagedrc") == []


@pytest.mark.parametrize(
    "name", [".ENVRC", ".Envrc", ".env\N{ZERO WIDTH NON-JOINER}rc", "\N{FULLWIDTH FULL STOP}envrc"]
)
def test_a_name_that_a_file_system_may_take_for_the_pattern_is_possible(name: str) -> None:
    assert possible([".envrc"], name) == [".envrc"]
    assert possible([".envrc"], f"x{name}") == []
    assert possible([".envrc.*"], f"{name}.local") == [".envrc.*"]


@pytest.mark.parametrize(
    ("name", "pattern"),
    [
        ("\N{KELVIN SIGN}it", "kit"),
        ("ba\N{LATIN SMALL LETTER LONG S}h", "bash"),
        ("ma\N{LATIN SMALL LETTER SHARP S}", "mass"),
        ("\N{LATIN SMALL LIGATURE FI}x", "fix"),
        ("g\N{LATIN SMALL LETTER DOTLESS I}t", "git"),
        ("G\N{LATIN CAPITAL LETTER I WITH DOT ABOVE}T", "git"),
    ],
)
def test_letters_that_fold_to_ascii_are_possible(name: str, pattern: str) -> None:
    assert possible([pattern], "Übersicht", name) == [pattern]


def test_other_letters_do_not_make_every_pattern_possible() -> None:
    assert possible([".envrc", "*.ipr", "ber"], "Übersicht.md", "naïve", "日本語") == []


def test_a_pattern_beyond_ascii_is_always_possible() -> None:
    composed = unicodedata.normalize("NFC", "é")
    assert possible([composed, f"{composed}*"], "x") == [composed, f"{composed}*"]


def test_below_a_directory_of_many_patterns_its_names_are_asked_for_once() -> None:
    deep = [f".config/{name}" for name in "abcdef"] + [f".config/x/{name}" for name in "abcdef"]
    asked: list[str] = []

    def below(path: str) -> list[str]:
        asked.append(path)
        return {".config": ["B", "x"], ".config/x": ["e", "z"]}[path]

    index = PatternIndex([*deep, "few/a", "few/b", ".config2/a"])
    assert index.possible([".config", "few"], below) == [".config/b", ".config/x/e", "few/a", "few/b"]
    assert asked == [".config", ".config/x"]
    assert index.possible(["few"], below) == ["few/a", "few/b"]
    assert sorted(index.possible([".config"], unknown)) == sorted(deep)


@pytest.mark.parametrize("other", [".config", ".CONFIG/a", ".Config/x"])
def test_patterns_that_share_a_directory_only_by_folding_are_all_possible(other: str) -> None:
    patterns = [other, *(f".config/{name}" for name in "abcdef")]
    assert possible(patterns, ".config") == sorted(patterns)
    assert sorted(PatternIndex(patterns).possible([".config"], lambda _: [])) == sorted(patterns)


@given(st.lists(_LETTERS, max_size=4), st.lists(_LETTERS.map(lambda name: name.replace("*", "x")), max_size=4))
def test_whatever_fits_is_possible(patterns: list[str], names: list[str]) -> None:
    index = PatternIndex(patterns)
    wanted = {pattern for pattern in patterns for name in names if fits(name, pattern)}
    assert wanted <= set(index.possible(names, unknown))


def test_hundreds_of_patterns_cost_little_in_a_large_directory() -> None:
    index = PatternIndex(self_running_table.patterns(self_running_table.load(), self_running_table.PROTECTED))
    names = [f"module_{number}.ts" for number in range(10_000)]
    taken = []
    for _ in range(5):
        before = time.process_time()
        assert index.possible(names, unknown) == []
        taken.append(time.process_time() - before)
    # 2 ms where this was written. One comparison of each name with each pattern would take a second.
    assert min(taken) < 0.05
