from __future__ import annotations

from typing import Any

import orjson
from hypothesis import example, given
from hypothesis import strategies as st

from pi_agent.state import documents, json_merge
from pi_agent.state.documents import AUTH, CODE_KEYS, SETTINGS, Kind, merged, nothing_known
from pi_agent.state.json_merge import REMOVED, changes, overridden
from tests.support.shapes import canonical, json_objects

_KINDS = st.sampled_from([SETTINGS, AUTH])


def at(document: Any, path: tuple[str, ...]) -> object:
    """The value at path in document; REMOVED if there is none."""
    for key in path:
        if not isinstance(document, dict) or key not in document:
            return REMOVED
        document = document[key]
    return document


def launches(kind: Kind, *steps: tuple[Any, Any, Any]) -> list[Any]:
    """The isolated file after each launch. A step is (edit, host, nix); with edit None, nobody wrote inside."""
    memory, seen = nothing_known(), []
    for edit, host, nix in steps:
        memory = merged(kind, memory, memory.written if edit is None else edit, host, nix)
        seen.append(memory.written)
    return seen


@given(_KINDS, json_objects, json_objects)
def test_the_first_launch_gives_the_host_with_nix_over_it(kind: Kind, host: Any, nix: Any) -> None:
    assert canonical(launches(kind, (None, host, nix))[0]) == canonical(overridden(host, nix))


@given(_KINDS, json_objects, json_objects, json_objects)
def test_a_launch_without_news_changes_nothing(kind: Kind, inside: Any, host: Any, nix: Any) -> None:
    _, once, again, oncemore = launches(kind, (None, host, nix), (inside, host, nix), *[(None, host, nix)] * 2)
    assert canonical(once) == canonical(again) == canonical(oncemore)


@given(_KINDS, json_objects, json_objects)
def test_what_was_chosen_inside_stays_while_the_host_is_silent(kind: Kind, host: Any, inside: Any) -> None:
    _, chosen, later = launches(kind, (None, host, {}), (inside, host, {}), (None, host, {}))
    assert canonical(chosen) == canonical(inside) == canonical(later)


@given(json_objects, json_objects, json_objects)
def test_a_second_choice_of_a_provider_replaces_the_first(host: Any, first: Any, second: Any) -> None:
    assert canonical(launches(AUTH, (None, host, {}), (first, host, {}), (second, host, {}))[2]) == canonical(second)


@given(json_objects, json_objects, json_objects)
@example(host={"a": {"x": 1, "y": 1}}, first={}, second={"a": {"x": 1}})
@example(host={"a": 1}, first={"a": {"x": 1}}, second={"a": {}})
@example(host={}, first={"a": {"x": 1}}, second={"a": {}})
def test_a_second_choice_keeps_the_rest_of_the_first(host: Any, first: Any, second: Any) -> None:
    after = launches(SETTINGS, (None, host, {}), (first, host, {}), (second, host, {}))[2]
    assert canonical(after) == canonical(second)


def test_changing_one_of_two_values_chosen_together_keeps_the_other() -> None:
    first = {"compaction": {"enabled": True, "reserveTokens": 5}}
    second = {"compaction": {"enabled": False, "reserveTokens": 5}}
    assert launches(SETTINGS, (None, {}, {}), (first, {}, {}), (second, {}, {}))[2] == second


def test_what_was_removed_inside_does_not_return_with_what_the_host_says_beside_it() -> None:
    """Whether or not the removal emptied the object."""
    for before in ({"x": 1}, {"x": 1, "z": 1}):
        inside = {key: value for key, value in before.items() if key != "x"}
        after = {**before, "y": 1}
        seen = launches(
            SETTINGS, (None, {"a": before}, {}), ({"a": inside}, {"a": before}, {}), (None, {"a": after}, {})
        )
        assert seen[2] == {"a": {**inside, "y": 1}}


def test_an_object_that_the_host_empties_leaves_what_was_chosen_beside_what_it_held() -> None:
    for before in ({"x": 1}, {"x": 1, "z": 1}):
        after = {key: value for key, value in before.items() if key != "x"}
        inside = {**before, "y": 1}
        seen = launches(
            SETTINGS, (None, {"a": before}, {}), ({"a": inside}, {"a": before}, {}), (None, {"a": after}, {})
        )
        assert seen[2] == {"a": {**after, "y": 1}}


def test_a_host_change_below_an_object_chosen_inside_keeps_the_rest_of_the_choice() -> None:
    inside = {"compaction": {"enabled": True, "reserveTokens": 5}}
    seen = launches(SETTINGS, (None, {}, {}), (inside, {}, {}), (None, {"compaction": {"enabled": False}}, {}))
    assert seen[2] == {"compaction": {"enabled": False, "reserveTokens": 5}}


@given(_KINDS, json_objects, json_objects, json_objects)
def test_what_the_host_says_anew_wins_over_inside(kind: Kind, before: Any, inside: Any, after: Any) -> None:
    written = launches(kind, (None, before, {}), (inside, before, {}), (None, after, {}))[2]
    for path in changes(before, after, kind.depth):
        assert canonical_or_removed(at(written, path)) == canonical_or_removed(at(after, path))


@given(_KINDS, json_objects, json_objects, json_objects)
def test_host_and_inside_changing_at_once_is_decided_for_the_host(
    kind: Kind, before: Any, inside: Any, after: Any
) -> None:
    written = launches(kind, (None, before, {}), (inside, after, {}))[1]
    for path in changes(before, after, kind.depth):
        assert canonical_or_removed(at(written, path)) == canonical_or_removed(at(after, path))


def canonical_or_removed(value: object) -> object:
    return REMOVED if value is REMOVED else canonical(value)


@given(_KINDS, json_objects, json_objects, json_objects, json_objects)
def test_nix_wins_over_everything(kind: Kind, host: Any, inside: Any, later: Any, nix: Any) -> None:
    for written in launches(kind, (None, host, nix), (inside, host, nix), (None, later, nix)):
        assert canonical(overridden(written, nix)) == canonical(written)


@given(_KINDS, json_objects, json_objects, json_objects)
def test_what_nix_no_longer_says_is_as_if_it_had_never_said_it(kind: Kind, host: Any, inside: Any, nix: Any) -> None:
    pinned = launches(kind, (None, host, {}), (inside, host, nix), (None, host, {}))[2]
    never = launches(kind, (None, host, {}), (inside, host, {}), (None, host, {}))[2]
    assert canonical(pinned) == canonical(never)


def test_a_choice_made_while_nix_pins_the_key_waits_until_nix_lets_go() -> None:
    host, pin = {"theme": "host"}, {"theme": "nix"}
    seen = launches(SETTINGS, (None, host, pin), ({"theme": "mine"}, host, pin), (None, host, pin), (None, host, {}))
    assert [written["theme"] for written in seen] == ["nix", "nix", "nix", "mine"]


def test_a_key_removed_inside_stays_removed_until_the_host_changes_it() -> None:
    host = {"model": "a", "other": 1}
    seen = launches(
        SETTINGS, (None, host, {}), ({"other": 1}, host, {}), (None, host, {}), (None, {**host, "model": "b"}, {})
    )
    assert seen[1:] == [{"other": 1}, {"other": 1}, {"model": "b", "other": 1}]


def test_a_key_the_host_removes_is_removed_inside_but_other_choices_stay() -> None:
    seen = launches(
        SETTINGS, (None, {"a": 1, "b": 1}, {}), ({"a": 2, "b": 2, "c": 2}, {"a": 1, "b": 1}, {}), (None, {"b": 1}, {})
    )
    assert seen[2] == {"b": 2, "c": 2}


def test_a_provider_is_one_value() -> None:
    host = {"anthropic": {"refresh": "h1", "access": "h1"}, "openai": {"key": "k"}}
    inside = {"anthropic": {"refresh": "i2", "access": "i2"}, "openai": {"key": "k"}}
    renewed = {"anthropic": {"refresh": "h1", "access": "h2"}, "openai": {"key": "k"}}
    seen = launches(AUTH, (None, host, {}), (inside, host, {}), (None, renewed, {}))
    assert seen[1] == inside
    assert seen[2] == renewed, "tokens of two logins must never be mixed"


@st.composite
def _with_code(draw: st.DrawFn) -> dict[str, Any]:
    code = draw(st.dictionaries(st.sampled_from(sorted(CODE_KEYS)), json_objects | st.lists(st.text(max_size=3))))
    return draw(json_objects) | code


@given(_with_code(), _with_code(), _with_code(), _with_code())
def test_code_never_comes_from_inside(host: Any, inside: Any, later: Any, nix: Any) -> None:
    steps = [(inside, host, {}), (None, host, nix), (later, host, nix), (inside, later, {})]
    for (_, said, pinned), written in zip(steps, launches(SETTINGS, *steps), strict=True):
        allowed = overridden(said, pinned)
        for key in CODE_KEYS:
            assert canonical_or_removed(at(written, (key,))) == canonical_or_removed(at(allowed, (key,)))


def test_the_code_keys_are_those_pi_runs() -> None:
    assert CODE_KEYS == {
        "packages", "extensions", "skills", "prompts", "themes", "npmCommand", "shellPath", "shellCommandPrefix",
    }  # fmt: skip
    assert SETTINGS.never_inside == CODE_KEYS
    assert AUTH.never_inside == frozenset()
    assert AUTH.depth == 1


@given(_KINDS, json_objects, json_objects, json_objects)
def test_memory_survives_json(kind: Kind, host: Any, inside: Any, nix: Any) -> None:
    memory = merged(kind, merged(kind, nothing_known(), {}, host, {}), inside, host, nix)
    again = documents.memory_from_json(orjson.loads(orjson.dumps(documents.memory_to_json(memory))))
    assert canonical([again.host, again.written]) == canonical([memory.host, memory.written])
    assert again.choices.keys() == memory.choices.keys()
    for path, value in memory.choices.items():
        assert again.choices[path] is REMOVED if value is REMOVED else json_merge.same(again.choices[path], value)
