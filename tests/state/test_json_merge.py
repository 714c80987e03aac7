from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pi_agent.state import json_merge
from pi_agent.state.json_merge import REMOVED, applied, changes, overridden, recorded, same, without
from tests.support.shapes import canonical, json_objects, json_values

_DEPTHS = st.integers(1, 4)


@given(json_objects, json_objects, _DEPTHS)
def test_applying_the_changes_gives_what_they_lead_to(before: Any, after: Any, depth: int) -> None:
    assert canonical(applied(before, changes(before, after, depth))) == canonical(after)


@given(json_objects, _DEPTHS)
def test_no_difference_between_equals(document: Any, depth: int) -> None:
    assert changes(document, document, depth) == {}


@given(json_objects, json_objects, _DEPTHS)
def test_nothing_passed_in_is_changed(before: Any, after: Any, depth: int) -> None:
    kept = canonical(before), canonical(after)
    found = changes(before, after, depth)
    applied(before, found)
    overridden(before, after)
    assert (canonical(before), canonical(after)) == kept


@given(json_objects, json_objects, _DEPTHS)
def test_no_path_is_deeper_than_asked_or_lies_within_another(before: Any, after: Any, depth: int) -> None:
    paths = list(changes(before, after, depth))
    assert all(1 <= len(path) <= depth for path in paths)
    for path in paths:
        assert [other for other in paths if other[: len(path)] == path] == [path]


@given(json_values, json_values)
def test_equality_is_that_of_the_json_text(left: Any, right: Any) -> None:
    assert same(left, right) == (canonical(left) == canonical(right))


@pytest.mark.parametrize(("left", "right"), [(1, True), (0, False), (1, 1.0), (0, None), ("", None), ([], {})])
def test_values_that_python_confuses_are_told_apart(left: object, right: object) -> None:
    assert not same(left, right)
    assert not same({"a": [left]}, {"a": [right]})
    assert changes({"a": left}, {"a": right}, 1) == {("a",): right}


def test_changes_by_example() -> None:
    before = {"same": 1, "gone": {"x": 1}, "list": [1], "deep": {"kept": 1, "gone": 1, "new": {"x": 1}}}
    after = {"same": 1, "list": [1, 2], "deep": {"kept": 1, "new": 2}, "added": {"y": 1, "z": {"w": 2}}, "empty": {}}
    assert changes(before, after, 9) == {
        ("gone",): REMOVED,
        ("list",): [1, 2],
        ("deep", "gone"): REMOVED,
        ("deep", "new"): 2,
        ("added", "y"): 1,
        ("added", "z", "w"): 2,
        ("empty",): {},
    }
    assert changes({}, {"added": {"y": {"z": 1}}}, 2) == {("added", "y"): {"z": 1}}
    assert changes({"a": 1}, {"a": {"y": 1}}, 9) == {("a", "y"): 1}
    assert changes(before, after, 1)[("deep",)] == {"kept": 1, "new": 2}


def test_a_value_in_the_way_gives_way_and_what_is_not_there_can_be_removed() -> None:
    assert applied({"a": 1}, {("a", "b"): 2}) == {"a": {"b": 2}}
    assert applied({}, {("a", "b"): 2}) == {"a": {"b": 2}}
    assert applied({"a": {"x": 1}}, {("a", "b"): REMOVED, ("c",): REMOVED}) == {"a": {"x": 1}}
    assert applied({}, {("c",): REMOVED}) == {}


@given(json_objects, json_objects)
def test_the_override_wins_everywhere_and_nothing_else_changes(document: Any, override: Any) -> None:
    result = overridden(document, override)
    assert canonical(overridden(result, override)) == canonical(result)
    for key in {*document, *override}:
        if key not in override:
            assert same(result[key], document[key])
        elif not isinstance(override[key], dict) or not isinstance(document.get(key), dict):
            assert same(result[key], override[key])
        else:
            assert same(result[key], overridden(document[key], override[key]))


def test_override_by_example() -> None:
    document = {"a": {"x": 1, "y": [1, 2]}, "b": 1, "c": {"z": 1}}
    override = {"a": {"y": [3]}, "b": {"q": 1}, "c": None}
    assert overridden(document, override) == {"a": {"x": 1, "y": [3]}, "b": {"q": 1}, "c": None}


def test_differences_at_above_and_below_what_was_touched_are_dropped() -> None:
    differences: json_merge.Changes = {("a",): 1, ("b", "c"): 2, ("d", "e", "f"): 3, ("ab",): 4, ("b", "x"): 5}
    assert without(differences, [("a",)]).keys() == {("b", "c"), ("d", "e", "f"), ("ab",), ("b", "x")}
    assert ("b", "c") not in without(differences, [("b",)])
    assert ("b", "c") not in without(differences, [("b", "c", "deeper")])
    assert ("b", "x") in without(differences, [("b", "c")])
    assert without(differences, []) == differences


# -- bringing known differences up to date


def told(host: Any, edits: list[Any], depth: int) -> Any:
    """The unchanged host's document with the differences that are known after a series of edits inside."""
    known: json_merge.Changes = {}
    written = host
    for edit in edits:
        known = recorded(known, changes(written, edit, depth))
        written = applied(host, known)
    return written


def fill(value: Any) -> Any:
    """value without empty objects below its top."""
    if isinstance(value, dict):
        return {key: fill(below) or 0 if isinstance(below, dict) else fill(below) for key, below in value.items()}
    return value


_EDITS = st.lists(json_objects, min_size=1, max_size=5)


@given(json_objects, _EDITS.map(lambda edits: [fill(edit) for edit in edits]), _DEPTHS)
def test_what_is_recorded_of_many_edits_reproduces_the_last(host: Any, edits: list[Any], depth: int) -> None:
    assert canonical(told(host, edits, depth)) == canonical(edits[-1])


@given(json_objects, _EDITS, _DEPTHS)
@example(host={}, edits=[{"a": {"x": 1}}, {"a": {}}], depth=2)
@example(host={"a": 1}, edits=[{"a": {"x": 1}}, {"a": {}}], depth=2)
def test_what_is_recorded_of_many_edits_reproduces_the_last_one_with_emptied_objects(
    host: Any, edits: list[Any], depth: int
) -> None:
    assert canonical(told(host, edits, depth)) == canonical(edits[-1])


@given(json_objects, _EDITS, _DEPTHS)
def test_what_is_recorded_of_edits_comes_in_an_order_in_which_none_undoes_another(
    host: Any, edits: list[Any], depth: int
) -> None:
    """A path comes after the paths above it, whose values are only room for it. Nothing lies below a removal."""
    known: json_merge.Changes = {}
    written = host
    for edit in edits:
        known = recorded(known, changes(written, edit, depth))
        written = edit
    paths = list(known)
    for at, path in enumerate(paths):
        assert not any(other[: len(path)] == path for other in paths[:at])
        if any(other[: len(path)] == path for other in paths[at + 1 :]):
            assert known[path] == {}


@given(json_objects, json_objects, json_objects, _DEPTHS)
def test_recording_changes_nothing_that_is_passed_in(host: Any, first: Any, second: Any, depth: int) -> None:
    known, news = changes(host, first, depth), changes(first, second, depth)
    before = dict(known), dict(news)
    recorded(known, news)
    assert (known, news) == before


@given(json_objects, json_objects, _DEPTHS)
def test_without_news_or_without_anything_known_nothing_is_lost(host: Any, inside: Any, depth: int) -> None:
    found = changes(host, inside, depth)
    assert recorded(found, {}) == recorded({}, found) == found


def test_recording_by_example() -> None:
    known: json_merge.Changes = {("a",): 1, ("b", "c"): 2, ("b", "d"): 3, ("e",): REMOVED, ("bb",): 4}
    assert recorded(known, {("b",): 5}) == {("a",): 1, ("e",): REMOVED, ("bb",): 4, ("b",): 5}
    assert recorded(known, {("b", "c"): REMOVED}) == {**known, ("b", "c"): REMOVED}
    assert recorded(known, {("a", "x"): 6}) == {**known, ("a",): {}, ("a", "x"): 6}
    assert recorded(known, {("e", "x", "y"): 7}) == {**known, ("e",): {}, ("e", "x", "y"): 7}
    assert list(recorded({("a",): 1}, {("a", "x"): 6})) == [("a",), ("a", "x")], "the object before what it holds"
