from __future__ import annotations

from typing import Any, Final

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pi_agent.state import documents, json_merge, settings_keys
from pi_agent.state.document_kinds import AUTH, MCP_AUTH, SETTINGS, TRUST, Kind
from pi_agent.state.documents import merged, nothing_known
from pi_agent.state.json_merge import REMOVED, changes, overridden
from tests.support.shapes import canonical, json_objects

# Documents in which every choice may last: how values merge is another matter.
_DEEP = Kind("settings.json", SETTINGS.depth)
_FLAT = Kind("auth.json", AUTH.depth)
_KINDS = st.sampled_from([_DEEP, _FLAT])


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
    assert canonical(launches(_FLAT, (None, host, {}), (first, host, {}), (second, host, {}))[2]) == canonical(second)


@given(json_objects, json_objects, json_objects)
@example(host={"a": {"x": 1, "y": 1}}, first={}, second={"a": {"x": 1}})
@example(host={"a": 1}, first={"a": {"x": 1}}, second={"a": {}})
@example(host={}, first={"a": {"x": 1}}, second={"a": {}})
def test_a_second_choice_keeps_the_rest_of_the_first(host: Any, first: Any, second: Any) -> None:
    after = launches(_DEEP, (None, host, {}), (first, host, {}), (second, host, {}))[2]
    assert canonical(after) == canonical(second)


def test_changing_one_of_two_values_chosen_together_keeps_the_other() -> None:
    first = {"compaction": {"enabled": True, "reserveTokens": 5}}
    second = {"compaction": {"enabled": False, "reserveTokens": 5}}
    assert launches(_DEEP, (None, {}, {}), (first, {}, {}), (second, {}, {}))[2] == second


def test_what_was_removed_inside_does_not_return_with_what_the_host_says_beside_it() -> None:
    """Whether or not the removal emptied the object."""
    for before in ({"x": 1}, {"x": 1, "z": 1}):
        inside = {key: value for key, value in before.items() if key != "x"}
        after = {**before, "y": 1}
        seen = launches(_DEEP, (None, {"a": before}, {}), ({"a": inside}, {"a": before}, {}), (None, {"a": after}, {}))
        assert seen[2] == {"a": {**inside, "y": 1}}


def test_an_object_that_the_host_empties_leaves_what_was_chosen_beside_what_it_held() -> None:
    for before in ({"x": 1}, {"x": 1, "z": 1}):
        after = {key: value for key, value in before.items() if key != "x"}
        inside = {**before, "y": 1}
        seen = launches(_DEEP, (None, {"a": before}, {}), ({"a": inside}, {"a": before}, {}), (None, {"a": after}, {}))
        assert seen[2] == {"a": {**after, "y": 1}}


def test_a_host_change_below_an_object_chosen_inside_keeps_the_rest_of_the_choice() -> None:
    inside = {"compaction": {"enabled": True, "reserveTokens": 5}}
    seen = launches(_DEEP, (None, {}, {}), (inside, {}, {}), (None, {"compaction": {"enabled": False}}, {}))
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
    seen = launches(_DEEP, (None, host, pin), ({"theme": "mine"}, host, pin), (None, host, pin), (None, host, {}))
    assert [written["theme"] for written in seen] == ["nix", "nix", "nix", "mine"]


def test_a_key_removed_inside_stays_removed_until_the_host_changes_it() -> None:
    host = {"model": "a", "other": 1}
    seen = launches(
        _DEEP, (None, host, {}), ({"other": 1}, host, {}), (None, host, {}), (None, {**host, "model": "b"}, {})
    )
    assert seen[1:] == [{"other": 1}, {"other": 1}, {"model": "b", "other": 1}]


def test_a_key_the_host_removes_is_removed_inside_but_other_choices_stay() -> None:
    seen = launches(
        _DEEP, (None, {"a": 1, "b": 1}, {}), ({"a": 2, "b": 2, "c": 2}, {"a": 1, "b": 1}, {}), (None, {"b": 1}, {})
    )
    assert seen[2] == {"b": 2, "c": 2}


def test_a_provider_is_one_value() -> None:
    host = {"anthropic": {"refresh": "h1", "access": "h1"}, "openai": {"key": "k"}}
    inside = {"anthropic": {"refresh": "i2", "access": "i2"}, "openai": {"key": "k"}}
    renewed = {"anthropic": {"refresh": "h1", "access": "h2"}, "openai": {"key": "k"}}
    seen = launches(_FLAT, (None, host, {}), (inside, host, {}), (None, renewed, {}))
    assert seen[1] == inside
    assert seen[2] == renewed, "tokens of two logins must never be mixed"


_NO_TASTES = sorted(settings_keys.RUNS | settings_keys.REDIRECTS | {"unknown"})


@st.composite
def _with_code(draw: st.DrawFn) -> dict[str, Any]:
    code = draw(st.dictionaries(st.sampled_from(_NO_TASTES), json_objects | st.lists(st.text(max_size=3))))
    return draw(json_objects) | code


@given(_with_code(), _with_code(), _with_code(), _with_code())
def test_what_runs_or_redirects_something_or_is_unknown_never_comes_from_inside(
    host: Any, inside: Any, later: Any, nix: Any
) -> None:
    steps = [(inside, host, {}), (None, host, nix), (later, host, nix), (inside, later, {})]
    for (_, said, pinned), written in zip(steps, launches(SETTINGS, *steps), strict=True):
        allowed = overridden(said, pinned)
        for key in _NO_TASTES:
            assert canonical_or_removed(at(written, (key,))) == canonical_or_removed(at(allowed, (key,)))


@pytest.mark.parametrize("key", sorted(settings_keys.TASTES))
def test_a_taste_lasts_and_may_be_removed(key: str) -> None:
    assert launches(SETTINGS, (None, {}, {}), ({key: "x"}, {}, {}), (None, {}, {}))[2] == {key: "x"}
    assert launches(SETTINGS, (None, {key: "x"}, {}), ({}, {key: "x"}, {}), (None, {key: "x"}, {}))[2] == {}


@pytest.mark.parametrize("key", sorted(settings_keys.CONSENTS))
@pytest.mark.parametrize("said", [{"on": True}, {"on": "yes"}, {}])
def test_reports_that_the_host_refuses_are_not_allowed_inside(key: str, said: Any) -> None:
    inside = {key: said["on"]} if said else {}
    assert launches(SETTINGS, (None, {key: False}, {}), (inside, {key: False}, {}))[1] == {key: False}
    assert launches(SETTINGS, (None, {}, {}), (inside, {}, {}), (None, {}, {}))[2] == inside
    allowed, refused = {key: True}, {key: False}
    assert launches(SETTINGS, (None, allowed, {}), (refused, allowed, {}), (None, allowed, {}))[2] == refused


def test_each_key_is_one_thing() -> None:
    kinds = (settings_keys.RUNS, settings_keys.REDIRECTS, settings_keys.TASTES)
    assert sum(map(len, kinds)) == len(frozenset().union(*kinds))


_COMMANDS: Final = ({"type": "api_key", "key": "!x"}, {"key": "k", "env": {"A": "!x"}}, {"deep": [["!x"]]}, "!", "!x")


@pytest.mark.parametrize("credential", _COMMANDS)
def test_a_credential_that_is_a_command_comes_from_the_host_alone(credential: Any) -> None:
    mine = {"type": "api_key", "key": "mine"}
    steps: list[tuple[Any, Any, Any]] = [(None, {"a": mine}, {}), ({"a": credential, "b": credential}, {"a": mine}, {})]
    assert launches(AUTH, *steps)[1] == {"a": mine}
    assert launches(AUTH, (None, {"a": credential}, {}), (None, {"a": credential}, {}))[1] == {"a": credential}


def test_a_login_that_is_none_lasts_and_so_does_a_logout() -> None:
    host = {"a": {"type": "api_key", "key": "!x"}, "b": 1}
    inside = {"b": {"type": "api_key", "key": "x!", "env": {"AWS_PROFILE": "x!"}}}
    assert launches(AUTH, (None, host, {}), (inside, host, {}), (None, host, {}))[2] == inside


def test_servers_logins_last_one_by_one() -> None:
    host = {"s|https://s/": {"tokens": {"access": "host"}}, "t|https://t/": {"tokens": {"access": "t"}}}
    refreshed = {**host, "s|https://s/": {"tokens": {"access": "refreshed"}}}
    assert launches(MCP_AUTH, (None, host, {}), (refreshed, host, {}), (None, host, {}))[2] == refreshed


def test_a_login_that_goes_elsewhere_comes_from_the_host_alone() -> None:
    proxied = {"type": "api_key", "key": "k", "env": {"HTTPS_PROXY": "http://evil"}}
    assert launches(AUTH, (None, {}, {}), ({"a": proxied}, {}, {}))[1] == {}
    assert launches(AUTH, (None, {"a": proxied}, {}), (None, {"a": proxied}, {}))[1] == {"a": proxied}


def test_the_addresses_of_a_server_s_login_are_not_kept_and_its_tokens_are() -> None:
    known = {"s|https://s/": {"tokens": {"refresh": "host"}, "discovery": {"url": "https://s/"}}}
    planted = {"s|https://s/": {"tokens": {"refresh": "new"}, "discovery": {"url": "http://evil/"}}}
    kept = {"s|https://s/": {"tokens": {"refresh": "new"}, "discovery": {"url": "https://s/"}}}
    steps: list[tuple[Any, Any, Any]] = [(planted, known, {}), (None, known, {}), (planted, known, {})]
    assert launches(MCP_AUTH, (None, known, {}), *steps)[1:] == [kept] * 3


@pytest.mark.parametrize("value", [True, None, 0, "false", [], {}])
def test_trust_is_given_by_the_host_alone(value: Any) -> None:
    host = {"/home/alice/p": True, "/home/alice/p/evil": False}
    steps: list[tuple[Any, Any, Any]] = [(None, host, {}), ({"/": value, "/home/alice/p": True}, host, {})]
    assert launches(TRUST, *steps)[1] == host
    withdrawn = {**host, "/": False, "/home/alice/p": False}
    assert launches(TRUST, (None, host, {}), (withdrawn, host, {}), (None, host, {}))[2] == withdrawn


@given(_KINDS, json_objects, json_objects, json_objects)
def test_memory_survives_json(kind: Kind, host: Any, inside: Any, nix: Any) -> None:
    memory = merged(kind, merged(kind, nothing_known(), {}, host, {}), inside, host, nix)
    again = documents.memory_from_json(orjson.loads(orjson.dumps(documents.memory_to_json(memory))))
    assert canonical([again.host, again.written]) == canonical([memory.host, memory.written])
    assert again.choices.keys() == memory.choices.keys()
    for path, value in memory.choices.items():
        assert again.choices[path] is REMOVED if value is REMOVED else json_merge.same(again.choices[path], value)
