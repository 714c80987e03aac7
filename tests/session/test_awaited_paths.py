"""What returns to paths that are gone."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pi_agent.linux import inotify
from pi_agent.session import awaited_paths
from tests.support.projects import ground


@pytest.fixture
def queue(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A queue. What is watched is named by descriptors, in the working directory."""
    monkeypatch.chdir("/proc/self/fd")
    opened = inotify.opened()
    yield opened
    os.close(opened)


def test_the_paths_around_one_that_is_gone_are_those_on_the_way_to_it() -> None:
    assert awaited_paths.around(["a/b/c", "d"]) == {"a", "a/b", "a/b/c", "d"}
    assert awaited_paths.around([]) == set()


def make_there(root: Path) -> None:
    (root / "a/.envrc").touch()


def make_again(root: Path) -> None:
    (root / "a").rmdir()
    (root / "a").mkdir()


def move_in(root: Path) -> None:
    (root / "elsewhere").touch()
    (root / "elsewhere").rename(root / "a/.envrc")


@pytest.mark.parametrize("act", [make_there, make_again, move_in])
def test_what_comes_there_or_to_a_directory_above_is_an_event(
    act: Callable[[Path], None], queue: int, tmp_path: Path
) -> None:
    (tmp_path / "a").mkdir()
    with ground(tmp_path) as project:
        awaited_paths.watch(project, queue, ["a/.envrc"])
    assert [*inotify.read(queue)] == []
    act(tmp_path)
    assert {"a", ".envrc"} & {*inotify.read(queue)}


def test_a_directory_that_is_gone_as_well_is_waited_for(queue: int, tmp_path: Path) -> None:
    with ground(tmp_path) as project:
        awaited_paths.watch(project, queue, ["a/b/.envrc"])
        (tmp_path / "a").mkdir()
        assert [*inotify.read(queue)] == ["a"]
        assert not awaited_paths.exists(project, "a/b/.envrc")
        (tmp_path / "a/b").mkdir()
        (tmp_path / "a/b/.envrc").symlink_to("nowhere")
        assert awaited_paths.exists(project, "a/b/.envrc")
