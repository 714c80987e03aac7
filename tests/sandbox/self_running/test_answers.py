from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from pi_agent.sandbox.self_running import answers, look
from tests.support.left_behind import Left, git
from tests.support.trees import put


@pytest.fixture
def left(tmp_path: Path) -> Left:
    (tmp_path / "root").mkdir()
    (tmp_path / "memory").mkdir()
    return Left(tmp_path / "root")


def digests(left: Left, act: Callable[[], object]) -> dict[str, str | None]:
    """Path → digest of what a session leaves."""
    items = left.items(act)
    with look.ground_of(left.caller, left.project) as ground:
        return {item.path: answers.of(ground, item).value for item in items}


def arm(left: Left, setting: str = "fsmonitor = ./tools/watch.sh") -> None:
    git(left.root, "init", "-q")
    put(left.root / ".git/config", f"[core]\n{setting}\n")


@pytest.mark.parametrize(
    ("setting", "change"),
    [
        ("fsmonitor = ./tools/watch.sh", ".git/config"),
        ("fsmonitor = ./tools/watch.sh", "tools/watch.sh"),
        ("hooksPath = tools", "tools/watch.sh"),
        ("hooksPath = tools", "tools/new"),
        ("hooksPath = my tools", "my tools/pre-commit"),
        ("pager = x\n[include]\npath = ../tools/more", "tools/more"),
    ],
)
def test_an_answer_holds_for_the_content_and_what_it_names(left: Left, setting: str, change: str) -> None:
    for name in ("watch.sh", "more"):
        put(left.root / "tools" / name, "one")
    put(left.root / "my tools/commit-msg", "one")
    before = digests(left, lambda: arm(left, setting))[".git/config"]
    (left.root / ".git/config").unlink()
    put(left.root / "unrelated", "x")
    assert digests(left, lambda: arm(left, setting)) == {".git/config": before} and before is not None
    (left.root / ".git/config").unlink()

    def changes() -> None:
        arm(left, setting)
        with (left.root / change).open("a") as file:
            file.write("# two\n")

    assert digests(left, changes)[".git/config"] not in (None, before)


def test_an_answer_holds_for_one_root_and_one_path(tmp_path: Path) -> None:
    found: set[str | None] = set()
    for root in ("one", "two"):
        (tmp_path / root).mkdir()
        left = Left(tmp_path / root)
        for place in ("a", "b"):
            found |= {*digests(left, partial(put, left.root / place / ".envrc", "same")).values()}
    assert len(found) == 4 and None not in found


def test_what_cannot_be_read_in_full_has_no_digest(left: Left) -> None:
    def session() -> None:
        put(left.root / ".envrc", "x" * (1 << 20))
        os.mkfifo(left.root / ".vimrc")
        (left.root / ".exrc").symlink_to("/elsewhere")

    assert digests(left, session) == {".envrc": None, ".vimrc": None, ".exrc": None}


def test_answers_are_remembered_and_forgotten_with_their_file(left: Left, tmp_path: Path) -> None:
    memory = os.open(tmp_path / "memory", os.O_RDONLY)
    items = left.items(lambda: put(left.root / ".envrc"))
    with look.ground_of(left.caller, left.project) as ground:
        digest = answers.of(ground, items[0])
    assert answers.recalled(memory) == {}
    answers.remember(memory, {}, [digest, answers.Digest(items[0], None)], answers.KEEP)
    assert answers.recalled(memory) == {digest.value: "keep"}
    answers.remember(memory, answers.recalled(memory), [digest], answers.DISARM)
    assert answers.recalled(memory) == {digest.value: "disarm"}
    (tmp_path / "memory" / answers.FILE).unlink()
    assert answers.recalled(memory) == {}
    os.close(memory)


def test_a_broken_file_of_answers_means_no_answer(tmp_path: Path) -> None:
    memory = os.open(tmp_path, os.O_RDONLY)
    for content in (b"\xff\xfe", b"keep", b"yes abc\n", b"x" * (1 << 21)):
        (tmp_path / answers.FILE).write_bytes(content)
        assert not {answer for answer in answers.recalled(memory).values() if answer not in ("keep", "disarm")}
    os.close(memory)


def test_the_oldest_answers_are_forgotten_first(left: Left, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "_REMEMBERED_AT_MOST", 2)
    memory = os.open(tmp_path / "memory", os.O_RDONLY)
    [item] = left.items(lambda: put(left.root / ".envrc"))
    for number in range(3):
        answers.remember(memory, answers.recalled(memory), [answers.Digest(item, str(number))], answers.KEEP)
    assert list(answers.recalled(memory)) == ["1", "2"]
    os.close(memory)
