"""Events of real files and directories."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from pi_agent.linux import inotify


@pytest.fixture
def queue(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A queue. What is watched is named by descriptors, in the working directory."""
    monkeypatch.chdir("/proc/self/fd")
    opened = inotify.opened()
    yield opened
    os.close(opened)


def watch(queue: int, path: Path, what: int) -> None:
    descriptor = os.open(path, os.O_PATH | os.O_NOFOLLOW)
    inotify.add(queue, descriptor, what)
    os.close(descriptor)


def test_an_empty_queue_is_not_waited_for(queue: int) -> None:
    assert [*inotify.read(queue)] == []


def test_what_is_replaced_removed_or_moved_itself_has_no_name(queue: int, tmp_path: Path) -> None:
    for name in ("replaced", "removed", "moved"):
        (tmp_path / name).write_text("x")
        watch(queue, tmp_path / name, inotify.ATTRIB | inotify.DELETE_SELF | inotify.MOVE_SELF)
        assert [*inotify.read(queue)] == []
        (tmp_path / "new").write_text("y")
        if name == "replaced":
            (tmp_path / "new").rename(tmp_path / name)
        elif name == "removed":
            (tmp_path / name).unlink()
        else:
            (tmp_path / name).rename(tmp_path / "elsewhere")
        assert {*inotify.read(queue)} == {""}, name


def test_what_comes_and_goes_in_a_directory_has_its_name(queue: int, tmp_path: Path) -> None:
    watch(queue, tmp_path, inotify.NAMES)
    (tmp_path / "Ä").write_text("x")
    os.rename(tmp_path / "Ä", os.fsencode(tmp_path) + b"/\xff")
    assert [*inotify.read(queue)] == ["Ä", "Ä", "\udcff"]
    (tmp_path / "\udcff").write_text("what is in a file is no event")
    assert [*inotify.read(queue)] == []


def test_a_link_itself_is_watched(queue: int, tmp_path: Path) -> None:
    (tmp_path / "target").write_text("x")
    (tmp_path / "link").symlink_to("target")
    watch(queue, tmp_path / "link", inotify.ATTRIB | inotify.DELETE_SELF)
    (tmp_path / "target").chmod(0o600)
    assert [*inotify.read(queue)] == []
    (tmp_path / "link").unlink()
    assert {*inotify.read(queue)} == {""}


def test_more_is_added_to_what_an_object_is_watched_for(queue: int, tmp_path: Path) -> None:
    watch(queue, tmp_path, inotify.DELETE)
    watch(queue, tmp_path, inotify.CREATE)
    (tmp_path / "a").touch()
    (tmp_path / "a").unlink()
    assert [*inotify.read(queue)] == ["a", "a"]


def test_an_overflow_counts_as_an_event_of_what_is_watched(queue: int, tmp_path: Path) -> None:
    watch(queue, tmp_path, inotify.NAMES)
    most = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    if most > 50_000:
        pytest.skip("the queue of this machine is too long to fill")
    for number in range(most + 1):
        (tmp_path / f"{number % 2}").symlink_to("x")
        (tmp_path / f"{number % 2}").unlink()
    assert [*inotify.read(queue)][-1] == ""
