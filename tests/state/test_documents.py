from __future__ import annotations

import os
import stat
import time
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pi_agent.messages.refusal import EX_DATAERR, Refusal
from pi_agent.state import documents, json_merge, pi_lock
from pi_agent.state.documents import AUTH, CODE_KEYS, SETTINGS, Document, Kind, Memory, merged, nothing_known
from pi_agent.state.host_config import HostTree
from pi_agent.state.json_merge import REMOVED, changes, overridden
from tests.support.shapes import canonical, json_objects
from tests.support.trees import read, snapshot, write

_KINDS = st.sampled_from([SETTINGS, AUTH])


def at(document: Any, path: tuple[str, ...]) -> object:
    """What stands at path in document, REMOVED when nothing does."""
    for key in path:
        if not isinstance(document, dict) or key not in document:
            return REMOVED
        document = document[key]
    return document


def launches(kind: Kind, *steps: tuple[Any, Any, Any]) -> list[Any]:
    """What the isolated file says after each launch. A step is (edit, host, nix); edit None: nobody wrote inside."""
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
    """Whether the object was emptied by it or not."""
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


# -- reading the host's


def host_tree(top: Path) -> HostTree:
    return HostTree(str(top), os.open(top, os.O_PATH), lambda: ())


@pytest.mark.parametrize("content", ["{}", ' {"a": {"b": [1, null]}}\n', '{"ü": "\\u00fc"}'])
def test_the_hosts_document_is_read(tmp_path: Path, content: str) -> None:
    write(tmp_path / "settings.json", content)
    assert documents.read_host(host_tree(tmp_path), "settings.json").value == orjson.loads(content)


def test_a_document_that_is_not_there_is_empty(tmp_path: Path) -> None:
    assert documents.read_host(host_tree(tmp_path), "settings.json").value == {}
    (tmp_path / "real.json").write_text('{"a": 1}')
    (tmp_path / "settings.json").symlink_to("real.json")
    assert documents.read_host(host_tree(tmp_path), "settings.json").value == {"a": 1}


def test_duplicate_keys_are_the_last_as_for_pi(tmp_path: Path) -> None:
    write(tmp_path / "settings.json", '{"a": 1, "a": 2}')
    assert documents.read_host(host_tree(tmp_path), "settings.json").value == {"a": 2}


INVALID = [
    b"",
    b" ",
    b"{",
    b"{}{}",
    b"[]",
    b"null",
    b'"x"',
    b"1",
    b"// comment\n{}",
    b'{"a": 1,}',
    b'{"a": NaN}',
    b'{"a": Infinity}',
    b'{"a": 1e999}',
    b'{"a": "\\ud800"}',
    b'{"a": "\xff"}',
    b"\xef\xbb\xbf{}",
    b'{"a": "\xed\xa0\x80"}',
    b"[" * 100_000,
    b'{"a":' * 100_000,
    b'{"a":' * 200 + b"1" + b"}" * 200,
    b'{"a":' + b"[" * 200 + b"]" * 200 + b"}",
    b"\0" * 100,
]


@pytest.mark.parametrize("content", INVALID, ids=lambda content: repr(content[:12]))
def test_what_is_no_json_object_is_refused_with_the_path(tmp_path: Path, content: bytes) -> None:
    write(tmp_path / "settings.json", content)
    with pytest.raises(Refusal) as caught:
        documents.read_host(host_tree(tmp_path), "settings.json")
    assert caught.value.status == EX_DATAERR
    assert f"{tmp_path}/settings.json" in caught.value.what
    assert caught.value.what.isprintable()


@given(st.binary(max_size=60))
def test_any_bytes_are_an_object_or_refused(content: bytes) -> None:
    try:
        assert isinstance(documents._parse(content), dict)
    except ValueError as error:
        assert str(error)


def test_nesting_that_can_be_written_again_is_accepted() -> None:
    deep = b'{"a":' * 99 + b"{}" + b"}" * 99
    memory = merged(SETTINGS, nothing_known(), {}, documents._parse(deep), {})
    assert orjson.loads(orjson.dumps({"documents": {"x": documents.memory_to_json(memory)}}))


@pytest.mark.parametrize("kind", ["directory", "fifo", "device", "huge"])
def test_what_is_no_file_of_sensible_size_is_refused_without_waiting(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "settings.json"
    if kind == "directory":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        path.write_bytes(b"{}")
        os.truncate(path, documents.BYTES_AT_MOST + 1)
    with pytest.raises(Refusal) as caught:
        documents.read_host(host_tree(tmp_path), "settings.json")
    assert caught.value.status == EX_DATAERR
    assert str(path) in caught.value.what


# -- updating the isolated one


def updated(top: Path, host: Any, nix: Any | None = None, memory: Memory | None = None) -> tuple[Memory, list[str]]:
    notices: list[str] = []
    directory = os.open(top, os.O_RDONLY)
    try:
        memory = documents.update(
            directory, SETTINGS, memory or nothing_known(), Document(host, None), nix or {}, notices.append
        )
    finally:
        os.close(directory)
    return memory, notices


def test_the_isolated_file_is_private_and_pretty(tmp_path: Path) -> None:
    updated(tmp_path, {"a": {"b": 1}})
    path = tmp_path / "settings.json"
    assert path.read_text() == '{\n  "a": {\n    "b": 1\n  }\n}\n'
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert snapshot(tmp_path).keys() == {"settings.json"}


def test_nothing_to_say_makes_no_file_and_no_news_leaves_the_file_as_pi_wrote_it(tmp_path: Path) -> None:
    updated(tmp_path, {})
    assert list(tmp_path.iterdir()) == []
    write(tmp_path / "settings.json", '{"b":1,"a":2}')
    before = (tmp_path / "settings.json").stat()
    updated(tmp_path, {"a": 2})
    assert (tmp_path / "settings.json").stat() == before


@pytest.mark.parametrize("content", INVALID, ids=lambda content: repr(content[:12]))
def test_an_isolated_file_that_is_no_object_is_kept_aside_with_a_notice(tmp_path: Path, content: bytes) -> None:
    memory, _ = updated(tmp_path, {"a": 1})
    write(tmp_path / "settings.json", content)
    _, notices = updated(tmp_path, {"a": 1}, memory=memory)
    assert read(tmp_path / "settings.json") == {"a": 1}
    (kept,) = tmp_path.glob("settings.json.displaced-*")
    assert kept.read_bytes() == content
    assert len(notices) == 1 and kept.name in notices[0]
    assert notices[0].isprintable()


def test_choices_survive_a_file_that_was_kept_aside_or_removed(tmp_path: Path) -> None:
    memory, _ = updated(tmp_path, {"a": 1})
    write(tmp_path / "settings.json", {"a": 1, "model": "m"})
    memory, _ = updated(tmp_path, {"a": 1}, memory=memory)
    write(tmp_path / "settings.json", "broken")
    memory, _ = updated(tmp_path, {"a": 1}, memory=memory)
    assert read(tmp_path / "settings.json") == {"a": 1, "model": "m"}
    (tmp_path / "settings.json").unlink()
    updated(tmp_path, {"a": 1}, memory=memory)
    assert read(tmp_path / "settings.json") == {"a": 1, "model": "m"}


@pytest.mark.parametrize("kind", ["link", "directory", "fifo"])
def test_what_the_agent_planted_in_its_place_is_neither_followed_nor_waited_for(tmp_path: Path, kind: str) -> None:
    (tmp_path / "isolated").mkdir()
    secret = tmp_path / "secret.json"
    secret.write_text('{"token": "x"}')
    path = tmp_path / "isolated/settings.json"
    if kind == "link":
        path.symlink_to(secret)
    elif kind == "fifo":
        os.mkfifo(path)
    else:
        path.mkdir()
    memory, notices = updated(tmp_path / "isolated", {"a": 1})
    assert read(path) == {"a": 1} and not path.is_symlink()
    assert secret.read_text() == '{"token": "x"}'
    assert "token" not in str(memory)
    assert len(notices) == 1


def test_a_fresh_lock_of_pi_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = tmp_path / "settings.json.lock"
    lock.mkdir()
    monkeypatch.setattr(time, "sleep", lambda _seconds: lock.rmdir())
    updated(tmp_path, {"a": 1})
    assert read(tmp_path / "settings.json") == {"a": 1}
    assert not lock.exists()


@pytest.mark.parametrize("age", [11, 1e6, -11, -1e6])
def test_a_stale_lock_is_taken_over_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, age: float) -> None:
    lock = tmp_path / "settings.json.lock"
    lock.mkdir()
    os.utime(lock, (time.time() - age, time.time() - age))
    monkeypatch.setattr(time, "sleep", lambda _seconds: pytest.fail("waited for a stale lock"))
    updated(tmp_path, {"a": 1})
    assert read(tmp_path / "settings.json") == {"a": 1}
    assert not lock.exists()


@pytest.mark.parametrize("kind", ["directory", "file", "link"])
def test_a_lock_that_nobody_gives_up_delays_but_does_not_block(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(pi_lock, "_LOCK_PATIENCE", 0.05)
    lock = tmp_path / "settings.json.lock"
    if kind == "directory":
        lock.mkdir()
    elif kind == "file":
        lock.write_text("")
    else:
        lock.symlink_to("/nonexistent")
    updated(tmp_path, {"a": 1})
    assert read(tmp_path / "settings.json") == {"a": 1}


# -- what says what it said is not parsed


def test_a_text_that_is_known_is_not_parsed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "settings.json", '{"a":1}')
    directory = os.open(tmp_path, os.O_RDONLY)
    host = Document({"a": 1}, b'{"a": 1}\n')
    memory = documents.update(directory, SETTINGS, nothing_known(), host, {}, print)
    again = documents.memory_from_json(orjson.loads(orjson.dumps(documents.memory_to_json(memory))))
    assert (again, again.host_text, again.written_text) == (memory, b'{"a": 1}\n', b'{"a":1}')
    monkeypatch.setattr(documents, "_parse", None)
    assert documents.update(directory, SETTINGS, again, host, {}, print) == memory
    os.close(directory)
    assert documents.read_host(host_tree(tmp_path), "settings.json", Memory({"b": 2}, {}, {}, b'{"a":1}')).value == {
        "b": 2
    }


@pytest.mark.parametrize("text", ['{"a": 2}', '{"a":1} ', '{"a":1,"packages":["x"]}'])
def test_a_text_that_is_not_known_is_parsed_and_merged(tmp_path: Path, text: str) -> None:
    write(tmp_path / "settings.json", '{"a":1}')
    memory, _ = updated(tmp_path, {"a": 1})
    write(tmp_path / "settings.json", text)
    after, _ = updated(tmp_path, {"a": 1}, memory=memory)
    assert "packages" not in read(tmp_path / "settings.json")
    assert after.written == {"a": orjson.loads(text)["a"]}
    assert after.written_text == (tmp_path / "settings.json").read_bytes()
