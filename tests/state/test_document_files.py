"""documents: the host's file is read, the isolated one planned and written. For the merge, see test_documents.py."""

from __future__ import annotations

import errno
import os
import stat
import time
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pi_agent.linux.signatures import signature_of
from pi_agent.messages.refusal import EX_DATAERR, Refusal
from pi_agent.state import documents
from pi_agent.state.document_kinds import SETTINGS
from pi_agent.state.documents import Document, Memory, Plan, merged, nothing_known
from pi_agent.state.json_merge import REMOVED
from pi_agent.state.pi_lock import PiLock
from tests.support.host_trees import host_tree
from tests.support.limits import no_room
from tests.support.shapes import NOT_OBJECTS
from tests.support.trees import displaced, opened, read, snapshot, statuses, write

# -- reading the host's


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


def test_a_byte_order_mark_on_the_host_is_passed_over_as_by_pi(tmp_path: Path) -> None:
    write(tmp_path / "settings.json", b'\xef\xbb\xbf{"a": 1}')
    assert documents.read_host(host_tree(tmp_path), "settings.json").value == {"a": 1}


@pytest.mark.parametrize("content", NOT_OBJECTS, ids=lambda content: repr(content[:12]))
def test_what_is_no_json_object_is_refused_with_the_path(tmp_path: Path, content: bytes) -> None:
    write(tmp_path / "settings.json", content)
    with pytest.raises(Refusal) as caught:
        documents.read_host(host_tree(tmp_path), "settings.json")
    assert caught.value.status == EX_DATAERR
    assert f"{tmp_path}/settings.json" in caught.value.what
    assert caught.value.what.isprintable()


def test_a_document_that_the_disk_fails_to_give_is_refused_with_the_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "settings.json", "{}")
    tree = host_tree(tmp_path)

    def failing(*_: object) -> bytes:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "read", failing)
    with pytest.raises(Refusal) as caught:
        documents.read_host(tree, "settings.json")
    monkeypatch.undo()
    assert f"{tmp_path}/settings.json" in caught.value.what and os.strerror(errno.EIO) in caught.value.what


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


# -- planning


def planned(top: Path, host: Any, nix: Any | None = None, memory: Memory | None = None) -> Plan:
    """The plan for the settings in top."""
    with opened(top) as directory:
        return documents.plan(directory, SETTINGS, memory or nothing_known(), Document(host, None), nix or {})


def carried_out(top: Path, plan: Plan) -> tuple[Memory, list[str]]:
    """The next memory, and the notices."""
    with opened(top) as directory:
        done = documents.carry_out(plan, directory)
    return done.memory, [*done.notices]


def updated(top: Path, host: Any, nix: Any | None = None, memory: Memory | None = None) -> tuple[Memory, list[str]]:
    """Plan and carry out."""
    return carried_out(top, planned(top, host, nix, memory))


def test_a_plan_says_what_the_file_will_say_and_what_of_it_is_new(tmp_path: Path) -> None:
    write(tmp_path / "settings.json", {"a": {"x": 1, "y": 1}, "b": 1})
    plan = planned(tmp_path, {"a": {"x": 1, "y": 2}}, {"c": 3}, Memory({"b": 1}, {"a": {"x": 1, "y": 1}, "b": 1}, {}))
    assert not plan.changes_nothing
    assert plan.after.written == {"a": {"x": 1, "y": 2}, "c": 3}
    assert plan.changes == {("a", "y"): 2, ("b",): REMOVED, ("c",): 3}
    _, told = carried_out(tmp_path, plan)
    assert read(tmp_path / "settings.json") == plan.after.written
    assert told == []


def test_where_there_is_no_directory_yet_everything_is_new() -> None:
    plan = documents.plan(None, SETTINGS, nothing_known(), Document({"a": 1}, None), {})
    assert plan.changes == {("a",): 1} and not plan.changes_nothing
    assert documents.plan(None, SETTINGS, nothing_known(), Document({}, None), {}).changes_nothing


def test_planning_changes_nothing(tmp_path: Path) -> None:
    write(tmp_path / "settings.json", "broken")
    before = statuses(tmp_path)
    assert not planned(tmp_path, {"a": 1}).changes_nothing
    assert statuses(tmp_path) == before


def test_carrying_out_a_plan_that_changes_nothing_takes_no_lock_and_writes_nothing(tmp_path: Path) -> None:
    memory, _ = updated(tmp_path, {"a": 1})
    (tmp_path / "settings.json.lock").mkdir()  # nobody waits for it
    before = statuses(tmp_path)
    plan = planned(tmp_path, {"a": 1}, memory=memory)
    assert plan.changes_nothing
    after, told = carried_out(tmp_path, plan)
    assert (after.written, after.choices, told) == ({"a": 1}, {}, [])
    assert statuses(tmp_path) == before


# -- carrying out


def test_what_pi_changes_between_plan_and_execution_is_kept(tmp_path: Path) -> None:
    memory, _ = updated(tmp_path, {"a": 1, "b": 1})
    plan = planned(tmp_path, {"a": 2, "b": 1}, memory=memory)
    write(tmp_path / "settings.json", {"a": 1, "b": 1, "defaultModel": "chosen"})
    after, told = carried_out(tmp_path, plan)
    assert read(tmp_path / "settings.json") == after.written == {"a": 2, "b": 1, "defaultModel": "chosen"}
    assert after.choices == {("defaultModel",): "chosen"}
    assert told == []


def test_what_pi_changes_while_its_lock_is_waited_for_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    memory, _ = updated(tmp_path, {"a": 1})
    lock = tmp_path / "settings.json.lock"
    lock.mkdir()

    def finished(_seconds: float) -> None:
        write(tmp_path / "settings.json", {"a": 1, "defaultModel": "chosen"})
        lock.rmdir()

    monkeypatch.setattr(time, "sleep", finished)
    updated(tmp_path, {"a": 2}, memory=memory)
    assert read(tmp_path / "settings.json") == {"a": 2, "defaultModel": "chosen"}


def test_what_somebody_else_has_written_already_is_not_written_again(tmp_path: Path) -> None:
    plan = planned(tmp_path, {"a": 1})
    write(tmp_path / "settings.json", '{"a":1}')
    before = signature_of((tmp_path / "settings.json").stat())
    after, _ = carried_out(tmp_path, plan)
    assert signature_of((tmp_path / "settings.json").stat()) == before
    assert (after.written, after.written_text) == ({"a": 1}, b'{"a":1}')


def test_a_file_that_breaks_after_the_plan_is_kept_aside_and_one_that_is_repaired_is_not(tmp_path: Path) -> None:
    plan = planned(tmp_path, {"a": 1})
    write(tmp_path / "settings.json", "broken")
    _, told = carried_out(tmp_path, plan)
    assert len(told) == len(displaced(tmp_path, "settings.json")) == 1
    write(tmp_path / "settings.json", "broken")
    plan = planned(tmp_path, {"a": 1})
    write(tmp_path / "settings.json", {"a": 1})
    _, told = carried_out(tmp_path, plan)
    assert told == [] and len(displaced(tmp_path, "settings.json")) == 1


def test_a_file_that_cannot_be_written_is_an_error_and_the_lock_is_given_back(tmp_path: Path) -> None:
    write(tmp_path / "settings.json", {"a": 1})
    with pytest.raises(OSError, match="File too large"), no_room():
        updated(tmp_path, {"a": 2})
    assert snapshot(tmp_path).keys() == {"settings.json"}
    assert read(tmp_path / "settings.json") == {"a": 1}


def test_a_lock_that_a_killed_sync_left_is_removed_also_where_nothing_is_to_be_written(tmp_path: Path) -> None:
    memory, _ = updated(tmp_path, {"a": 1})
    with opened(tmp_path) as directory:
        assert PiLock(directory, SETTINGS).take()  # and never released
    plan = planned(tmp_path, {"a": 1}, memory=memory)
    assert plan.is_current and not plan.changes_nothing
    before = signature_of((tmp_path / "settings.json").stat())
    carried_out(tmp_path, plan)
    assert snapshot(tmp_path).keys() == {"settings.json"}
    assert signature_of((tmp_path / "settings.json").stat()) == before


def test_the_lock_is_given_back_afterwards(tmp_path: Path) -> None:
    updated(tmp_path, {"a": 1})
    assert not (tmp_path / "settings.json.lock").exists()


def test_the_isolated_file_is_private_and_pretty(tmp_path: Path) -> None:
    updated(tmp_path, {"a": {"b": 1}})
    path = tmp_path / "settings.json"
    assert path.read_text() == '{\n  "a": {\n    "b": 1\n  }\n}\n'
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert snapshot(tmp_path).keys() == {"settings.json"}


def test_nothing_to_say_makes_no_file_and_no_news_leaves_the_file_as_pi_wrote_it(tmp_path: Path) -> None:
    updated(tmp_path, {})
    assert list(tmp_path.iterdir()) == []
    write(tmp_path / "settings.json", '{"theme":"x","a":2}')
    before = signature_of((tmp_path / "settings.json").stat())
    updated(tmp_path, {"a": 2})
    assert signature_of((tmp_path / "settings.json").stat()) == before


@pytest.mark.parametrize("content", (*NOT_OBJECTS, b"\xef\xbb\xbf{}"), ids=lambda content: repr(content[:12]))
def test_an_isolated_file_that_is_no_object_is_kept_aside_with_a_notice(tmp_path: Path, content: bytes) -> None:
    memory, _ = updated(tmp_path, {"a": 1})
    write(tmp_path / "settings.json", content)
    _, told = updated(tmp_path, {"a": 1}, memory=memory)
    assert read(tmp_path / "settings.json") == {"a": 1}
    (kept,) = displaced(tmp_path, "settings.json")
    assert kept.read_bytes() == content
    assert len(told) == 1 and kept.name in told[0]
    assert told[0].isprintable()


def test_choices_survive_a_file_that_was_kept_aside_or_removed(tmp_path: Path) -> None:
    memory, _ = updated(tmp_path, {"a": 1})
    write(tmp_path / "settings.json", {"a": 1, "defaultModel": "m"})
    memory, _ = updated(tmp_path, {"a": 1}, memory=memory)
    write(tmp_path / "settings.json", "broken")
    memory, _ = updated(tmp_path, {"a": 1}, memory=memory)
    assert read(tmp_path / "settings.json") == {"a": 1, "defaultModel": "m"}
    (tmp_path / "settings.json").unlink()
    updated(tmp_path, {"a": 1}, memory=memory)
    assert read(tmp_path / "settings.json") == {"a": 1, "defaultModel": "m"}


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
    memory, told = updated(tmp_path / "isolated", {"a": 1})
    assert read(path) == {"a": 1} and not path.is_symlink()
    assert secret.read_text() == '{"token": "x"}'
    assert "token" not in str(memory)
    assert len(told) == 1


# -- what says what it said is not parsed


def test_a_text_that_is_known_is_not_parsed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "settings.json", '{"a":1}')
    directory = os.open(tmp_path, os.O_RDONLY)
    host = Document({"a": 1}, b'{"a": 1}\n')
    memory = documents.carry_out(documents.plan(directory, SETTINGS, nothing_known(), host, {}), directory).memory
    again = documents.memory_from_json(orjson.loads(orjson.dumps(documents.memory_to_json(memory))))
    assert (again, again.host_text, again.written_text) == (memory, b'{"a": 1}\n', b'{"a":1}')
    monkeypatch.setattr(documents, "_parse", None)
    assert documents.carry_out(documents.plan(directory, SETTINGS, again, host, {}), directory).memory == memory
    os.close(directory)
    assert documents.read_host(host_tree(tmp_path), "settings.json", Memory({"b": 2}, {}, {}, b'{"a":1}')).value == {
        "b": 2
    }


@pytest.mark.parametrize("text", ['{"theme": 2}', '{"theme":1} ', '{"theme":1,"packages":["x"]}'])
def test_a_text_that_is_not_known_is_parsed_and_merged(tmp_path: Path, text: str) -> None:
    write(tmp_path / "settings.json", '{"theme":1}')
    memory, _ = updated(tmp_path, {"theme": 1})
    write(tmp_path / "settings.json", text)
    after, _ = updated(tmp_path, {"theme": 1}, memory=memory)
    assert "packages" not in read(tmp_path / "settings.json")
    assert after.written == {"theme": orjson.loads(text)["theme"]}
    assert after.written_text == (tmp_path / "settings.json").read_bytes()
