from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pi_agent.state import sync_memory
from pi_agent.state.document_kinds import AUTH, SETTINGS
from pi_agent.state.documents import Memory, nothing_known
from pi_agent.state.json_merge import REMOVED
from pi_agent.state.sync_memory import Recalled, SyncMemory
from tests.support.limits import no_room, open_descriptors
from tests.support.shapes import file_names, json_values
from tests.support.trees import await_tick, mode_of, opened, snapshot, statuses, write

_NUMBERS = [1, 2, 3, 4, 5, 6, 7, 8]
_FULL = SyncMemory(
    {"skills/a": _NUMBERS},
    {"settings.json": Memory({"h": 1}, {"w": 1}, {("a", "b"): 1, ("c",): REMOVED}, b'{"h":1}', b'{"w": 1}')},
)


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[int]:
    """Sync's own directory, open."""
    with opened(tmp_path) as descriptor:
        yield descriptor


# -- what is remembered


@given(st.dictionaries(file_names, st.tuples(*[st.integers(0, 2**63)] * 8), max_size=4))
def test_memory_holds_names_of_any_bytes(files: dict[str, tuple[int, ...]]) -> None:
    synced = {name: [*numbers] for name, numbers in files.items()}
    again = SyncMemory.from_json(SyncMemory(synced, {}).to_json())
    assert again.files == synced


def test_memories_are_told_apart_as_json_does_it() -> None:
    one, other = (SyncMemory({}, {"settings.json": Memory({}, {}, {("a",): value})}) for value in (1, True))
    assert one != other
    assert one == SyncMemory({}, {"settings.json": Memory({}, {}, {("a",): 1})})


def test_what_is_remembered_is_the_same_after_being_written_and_read() -> None:
    again = SyncMemory.from_json(_FULL.to_json())
    assert again == _FULL
    found = again.document(SETTINGS)
    assert (found.host, found.written, found.choices) == ({"h": 1}, {"w": 1}, {("a", "b"): 1, ("c",): REMOVED})
    assert (found.host_text, found.written_text) == (b'{"h":1}', b'{"w": 1}')
    assert again.document(AUTH) == nothing_known()


def test_another_file_or_another_signature_is_another_memory() -> None:
    documents = _FULL.documents
    for files in ({}, {"skills/b": _NUMBERS}, {"skills/a": [*_NUMBERS[:7], 9]}):
        assert SyncMemory(files, documents) != _FULL


# -- keeping it


def test_what_is_kept_is_recalled_and_private(tmp_path: Path, directory: int) -> None:
    assert sync_memory.recall(directory) == sync_memory.recall(None) == Recalled(SyncMemory({}, {}), None)
    sync_memory.remember(directory, _FULL)
    found = sync_memory.recall(directory)
    assert (found.memory, found.notices) == (_FULL, ())
    assert mode_of(tmp_path / "memory.json") == 0o600


def test_recalling_changes_nothing_and_leaves_nothing_open(tmp_path: Path, directory: int) -> None:
    write(tmp_path / "memory.json", "broken")
    before = statuses(tmp_path), open_descriptors()
    sync_memory.recall(directory)
    assert (statuses(tmp_path), open_descriptors()) == before


def test_a_memory_that_cannot_be_kept_leaves_the_last(tmp_path: Path, directory: int) -> None:
    sync_memory.remember(directory, SyncMemory({}, {}))
    before = snapshot(tmp_path)
    with no_room(), pytest.raises(OSError, match="File too large"):
        sync_memory.remember(directory, _FULL)
    assert snapshot(tmp_path) == before


def test_a_memory_is_current_until_somebody_keeps_another(tmp_path: Path, directory: int) -> None:
    none = sync_memory.recall(directory)
    assert sync_memory.is_current(none, directory)
    sync_memory.remember(directory, _FULL)
    assert not sync_memory.is_current(none, directory)
    first = sync_memory.recall(directory)
    assert sync_memory.is_current(first, directory)
    await_tick(tmp_path / "memory.json")
    sync_memory.remember(directory, _FULL)
    assert not sync_memory.is_current(first, directory), "also with the same content"
    (tmp_path / "memory.json").unlink()
    assert not sync_memory.is_current(first, directory)


@pytest.mark.parametrize("kind", ["link", "closed"])
def test_a_memory_that_cannot_be_opened_is_an_error_and_not_forgotten(ordinary: Path, kind: str) -> None:
    write(ordinary / "elsewhere", _FULL.to_json())
    if kind == "link":
        (ordinary / "memory.json").symlink_to("elsewhere")
    else:
        (ordinary / "elsewhere").rename(ordinary / "memory.json")
        (ordinary / "memory.json").chmod(0)
    with opened(ordinary) as directory, pytest.raises(OSError):
        sync_memory.recall(directory)


# -- what cannot be understood


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b"1",
        b'"x"',
        b"{}",
        b"\xff",
        b"[" * 100_000,
        b'{"version":2,"files":{},"documents":{}}',
        b'{"version":1,"files":[],"documents":{}}',
        b'{"version":1,"files":{},"documents":[]}',
        b'{"version":1,"files":{"a":[1,2]},"documents":{}}',
        b'{"version":1,"files":{"a":null},"documents":{}}',
        '{"version":1,"files":{"€":[1,2,3,4,5,6,7,8]},"documents":{}}'.encode(),
        b'{"version":1,"files":{},"documents":{"settings.json":{}}}',
        b'{"version":1,"files":{},"documents":{"settings.json":{"host":{},"written":{},"choices":1}}}',
        b'{"version":1,"files":{},"documents":{"settings.json":{"host":{},"written":{},"choices":[[]]}}}',
        b'{"version":1,"files":{},"documents":{"settings.json":{"host":{},"written":{},"choices":[[[[]]]]}}}',
    ],
    ids=lambda content: repr(content[-40:]),
)
def test_a_memory_that_cannot_be_understood_is_forgotten_with_a_notice(
    tmp_path: Path, directory: int, content: bytes
) -> None:
    write(tmp_path / "memory.json", content)
    found = sync_memory.recall(directory)
    assert found.memory == SyncMemory({}, {})
    assert len(found.notices) == 1 and found.notices[0].isprintable()
    assert sync_memory.is_current(found, directory), "it is known which file that was"


@pytest.mark.parametrize("path", [[], [1], None])
def test_a_memory_whose_paths_are_no_paths_is_forgotten(tmp_path: Path, directory: int, path: object) -> None:
    choices = {"host": {}, "written": {}, "choices": [[path, 1]]}
    write(tmp_path / "memory.json", {"version": 1, "files": {}, "documents": {"settings.json": choices}})
    assert len(sync_memory.recall(directory).notices) == 1


@given(st.binary(max_size=40) | json_values.map(orjson.dumps))
def test_whatever_the_file_says_it_is_recalled_or_forgotten(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    top = tmp_path_factory.mktemp("memory", numbered=True)
    write(top / "memory.json", content)
    with opened(top) as directory:
        assert len(sync_memory.recall(directory).notices) == 1
