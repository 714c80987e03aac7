"""Finding Pi's transcripts in a tree that may hold anything."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pi_agent.messages import command_output
from pi_agent.state import scans, transcripts
from pi_agent.state.transcripts import Head
from tests.support.bench import Bench, bench
from tests.support.trees import Nest, put

MESSAGE = b'{"type":"message","message":{"role":"user","content":%s}}\n'
HEADER = b'{"type":"session","version":3,"cwd":"/p"}\n'


@pytest.fixture
def here(tmp_path: Path) -> Bench:
    return bench(tmp_path)


def place(here: Bench) -> int:
    top = transcripts.open_place(here.state)
    assert top is not None
    return top


def names(here: Bench) -> list[str]:
    return [each.name for each in transcripts.find(place(here)).transcripts]


def skipped(here: Bench) -> dict[str, str]:
    return dict(transcripts.find(place(here)).skipped)


def test_transcripts_are_found_in_the_order_of_their_names_with_size_and_time(here: Bench) -> None:
    for name in ("--p--/b.jsonl", "--a--/c.jsonl", "top.jsonl", "--p--/notes.txt"):
        put(here.isolated / "sessions" / name, "12345")
    os.utime(here.isolated / "sessions/top.jsonl", ns=(1, 7))
    found = transcripts.find(place(here)).transcripts
    assert [each.name for each in found] == ["--a--/c.jsonl", "--p--/b.jsonl", "top.jsonl"]
    assert found[2].stamp == (5, 7)
    assert skipped(here) == {}


@pytest.mark.parametrize("kind", ["missing", "link", "file"])
def test_without_a_place_for_them_there_are_none(here: Bench, kind: str) -> None:
    sessions = here.isolated / "sessions"
    sessions.rmdir()
    if kind == "link":
        sessions.symlink_to("/etc")
    elif kind == "file":
        sessions.touch()
    assert transcripts.open_place(here.state) is None


def test_what_is_no_regular_file_of_one_name_and_a_size_is_skipped_with_why(here: Bench) -> None:
    sessions = here.isolated / "sessions"
    put(sessions / "good.jsonl")
    (sessions / "link.jsonl").symlink_to("good.jsonl")
    os.mkfifo(sessions / "pipe.jsonl")
    put(sessions / "two.jsonl")
    os.link(sessions / "two.jsonl", sessions / "other")
    with open(sessions / "sparse.jsonl", "wb") as file:
        file.truncate(1024**4)
    (sessions / "dir.jsonl").mkdir()
    (sessions / "out").symlink_to("/")
    put(sessions / ".pi-agent-new/x.jsonl")
    assert names(here) == ["good.jsonl"]
    why = skipped(here)
    assert sorted(why) == ["link.jsonl", "pipe.jsonl", "sparse.jsonl", "two.jsonl"]
    top = place(here)
    for name in why:
        with pytest.raises(OSError):
            os.close(transcripts.open_one(top, name))
        assert transcripts.head(top, name) == Head()


def test_what_became_a_link_since_is_not_opened(here: Bench, tmp_path: Path) -> None:
    put(tmp_path / "outside/secret.jsonl", "secret")
    put(here.isolated / "sessions/d/secret.jsonl")
    top = place(here)
    os.close(transcripts.open_one(top, "d/secret.jsonl"))
    os.rename(here.isolated / "sessions/d", here.isolated / "sessions/away")
    (here.isolated / "sessions/d").symlink_to(tmp_path / "outside")
    with pytest.raises(OSError):
        transcripts.open_one(top, "d/secret.jsonl")


def test_a_tree_without_end_is_left_at_the_bounds(here: Bench, nest: Nest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scans, "ENTRIES_AT_MOST", 100)
    nest(here.isolated / "sessions", ["d"] * 200)
    assert names(here) == []
    assert list(skipped(here).values()) == [command_output.TOO_DEEP]
    for number in range(200):
        put(here.isolated / f"sessions/{number}.jsonl")
    assert 0 < len(names(here)) <= 100
    assert skipped(here)[""] == command_output.too_many_entries(100)


@pytest.mark.parametrize(
    ("content", "head"),
    [
        (b"", Head()),
        (HEADER, Head("/p")),
        (HEADER + MESSAGE % b'"hi"', Head("/p", "hi")),
        (HEADER + MESSAGE % b'[{"type":"image"},{"type":"text","text":"hi"}]', Head("/p", "hi")),
        (b'{"type":"message","message":{"role":"assistant","content":"no"}}', Head()),
        (b'{"type":"session","cwd":7}', Head()),
        (b'not JSON\n[1]\n"x"\n' + HEADER, Head("/p")),
        (b'{"type":"message","message":{"role":"user","content":"cut o', Head()),
        (b"[" * 60_000, Head()),
        (b'{"type":"session","cwd":"/\\ud800"}', Head()),
    ],
)  # fmt: skip
def test_a_head_is_what_pis_lines_say(content: bytes, head: Head) -> None:
    assert transcripts.parsed(content) == head


@given(st.binary(max_size=300))
def test_a_head_can_be_had_of_anything(content: bytes) -> None:
    transcripts.parsed(content)
    transcripts.parsed(HEADER + content)
