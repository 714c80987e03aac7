from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from pi_agent.linux import directories
from pi_agent.linux.directories import Trail
from tests.support.limits import few_descriptors, open_descriptors
from tests.support.people import needs_root
from tests.support.trees import displaced, mode_of, opened, put, snapshot

# -- entering


def entered(top: Path, path: str) -> list[str]:
    """The names in the directory that path (one name or several) leads to from top."""
    with opened(top) as parent:
        descriptor = (
            directories.enter_path(parent, path) if "/" in path or not path else directories.enter(parent, path)
        )
    try:
        return os.listdir(descriptor)
    finally:
        os.close(descriptor)


@pytest.mark.parametrize("mode", [0, 0o077, 0o100, 0o300, 0o400, 0o500, 0o600])
def test_a_directory_that_is_ours_is_entered_although_it_is_closed(ordinary: Path, mode: int) -> None:
    put(ordinary / "closed/below/x")
    (ordinary / "closed/below").chmod(mode)
    (ordinary / "closed").chmod(mode)
    assert entered(ordinary, "closed") == ["below"]
    assert entered(ordinary, "closed/below") == ["x"]
    assert mode_of(ordinary / "closed") == mode_of(ordinary / "closed/below") == 0o700


def test_a_directory_that_is_open_to_us_keeps_its_mode(ordinary: Path) -> None:
    (ordinary / "open").mkdir()
    (ordinary / "open").chmod(0o2751)
    assert entered(ordinary, "open") == []
    assert mode_of(ordinary / "open") == 0o2751


@needs_root
def test_a_directory_of_somebody_else_is_not_opened_up(ordinary: Path) -> None:
    os.seteuid(0)
    (ordinary / "theirs").mkdir(mode=0o055)
    os.seteuid(ordinary.stat().st_uid)
    with pytest.raises(PermissionError):
        entered(ordinary, "theirs")
    assert mode_of(ordinary / "theirs") == 0o055


@pytest.mark.parametrize("kind", ["file", "link", "dangling", "fifo", "missing"])
def test_enter_refuses_what_is_no_directory(tmp_path: Path, kind: str) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside").chmod(0o500)
    if kind == "file":
        put(tmp_path / "x")
    elif kind == "fifo":
        os.mkfifo(tmp_path / "x")
    elif kind != "missing":
        (tmp_path / "x").symlink_to("outside" if kind == "link" else "none")
    for path in ("x", "x/below"):
        with pytest.raises(OSError):
            entered(tmp_path, path)
    assert mode_of(tmp_path / "outside") == 0o500, "a link was followed, and what it leads to opened up"


def test_the_empty_path_is_the_top_itself(tmp_path: Path) -> None:
    put(tmp_path / "a/b/x")
    assert entered(tmp_path, "") == ["a"]
    assert entered(tmp_path, "a//b") == ["x"]


def test_no_entering_leaves_a_descriptor_open(tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    before = open_descriptors()
    entered(tmp_path, "a/b")
    for path in ("none", "a/none", "a/none/b"):
        with pytest.raises(OSError):
            entered(tmp_path, path)
    with opened(tmp_path) as top:
        directories.make_path(top, "a/c/d")
    assert open_descriptors() == before


# -- peeking


@pytest.mark.parametrize("mode", [0, 0o100, 0o300])
def test_a_peek_into_a_closed_directory_is_an_error_and_opens_nothing_up(ordinary: Path, mode: int) -> None:
    put(ordinary / "a/closed/x")
    (ordinary / "a/closed").chmod(mode)
    with opened(ordinary) as top:
        os.close(directories.peek_path(top, "a"))
        with pytest.raises(PermissionError):
            directories.peek_path(top, "a/closed")
    assert mode_of(ordinary / "a/closed") == mode


@pytest.mark.parametrize("target", ["a", "none", "a/file"])
def test_a_peek_follows_no_link_and_takes_only_directories(tmp_path: Path, target: str) -> None:
    put(tmp_path / "a/file")
    (tmp_path / "link").symlink_to(target)
    with opened(tmp_path) as top:
        for path in ("link", "a/file", "none", "none/below"):
            with pytest.raises(OSError):
                directories.peek_path(top, path)


# -- a trail


def listed(trail: Trail, path: str) -> list[str]:
    return sorted(os.listdir(trail.open(path)))


def test_a_trail_leads_to_each_directory_in_any_order(tmp_path: Path) -> None:
    for name in ("a/b/c/1", "a/b2/2", "ab/3", "4"):
        put(tmp_path / name)
    with opened(tmp_path) as top, Trail(top, directories.peek) as trail:
        for _ in range(2):
            assert listed(trail, "a/b/c") == ["1"]
            assert listed(trail, "a/b") == ["c"]
            assert listed(trail, "a/b2") == ["2"]
            assert listed(trail, "ab") == ["3"]
            assert listed(trail, "") == ["4", "a", "ab"]
        with pytest.raises(FileNotFoundError):
            trail.open("a/none")
        assert listed(trail, "a/b/c") == ["1"], "a failure does not end it"


def test_a_trail_opens_no_directory_twice_on_a_walk_that_goes_deep_first(tmp_path: Path) -> None:
    put(tmp_path / "a/b/c/x")
    (tmp_path / "a/d").mkdir()
    steps: list[str] = []

    def counted(parent: int, name: str) -> int:
        steps.append(name)
        return directories.peek(parent, name)

    with opened(tmp_path) as top, Trail(top, counted) as trail:
        for path in ("", "a", "a/b", "a/b/c", "a/d"):
            trail.open(path)
    assert steps == ["a", "b", "c", "d"]


def test_a_trail_needs_few_descriptors_however_deep_it_goes_and_leaves_only_the_top_open(tmp_path: Path) -> None:
    names = [f"d{number}" for number in range(100)]
    put(tmp_path / "/".join(names) / "x")
    with opened(tmp_path) as top:
        before = open_descriptors()
        with few_descriptors(12), Trail(top, directories.peek) as trail:
            for depth in range(101):
                assert listed(trail, "/".join(names[:depth])) == (names[depth : depth + 1] or ["x"])
            assert listed(trail, "d0/d1") == ["d2"]
        assert open_descriptors() == before


def test_a_trail_finds_what_took_the_place_of_a_directory_that_it_holds(tmp_path: Path) -> None:
    put(tmp_path / "a/old/x")
    put(tmp_path / "later/new/y")
    with opened(tmp_path) as top, Trail(top, directories.peek) as trail:
        assert listed(trail, "a/old") == ["x"]
        (tmp_path / "a").rename(tmp_path / "away")
        (tmp_path / "later").rename(tmp_path / "a")
        assert listed(trail, "a/new") == ["y"]


def test_a_trail_goes_on_from_a_directory_that_it_was_given(tmp_path: Path) -> None:
    put(tmp_path / "elsewhere/below/x")
    (tmp_path / "link").symlink_to("elsewhere")
    with opened(tmp_path) as top:
        before = open_descriptors()
        with Trail(top, directories.peek) as trail:
            trail.take("link", os.open(tmp_path / "link", os.O_RDONLY | os.O_DIRECTORY))
            assert listed(trail, "link/below") == ["x"]
        assert open_descriptors() == before


# -- ensuring


def ensure(top: Path, path: str) -> None:
    with opened(top) as parent:
        directories.make_path(parent, path)


def test_ensure_makes_a_private_directory_and_then_opens_the_same(tmp_path: Path) -> None:
    os.umask(0)
    with opened(tmp_path) as top:
        first, second = directories.ensure(top, "x"), directories.ensure(top, "x")
    assert os.path.samestat(os.fstat(first), os.fstat(second))
    assert stat.S_IMODE(os.fstat(first).st_mode) == 0o700
    for descriptor in (first, second):
        os.close(descriptor)


def test_ensure_moves_a_planted_link_aside_and_never_follows_it(tmp_path: Path) -> None:
    (tmp_path / "top").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "top/x").symlink_to("../elsewhere")
    ensure(tmp_path / "top", "x/y/z")
    assert list((tmp_path / "elsewhere").iterdir()) == []
    assert (tmp_path / "top/x/y/z").is_dir()
    (kept,) = displaced(tmp_path / "top", "x")
    assert os.readlink(kept) == "../elsewhere"


def test_ensure_keeps_the_content_of_a_file_in_the_way(tmp_path: Path) -> None:
    put(tmp_path / "x", "precious")
    ensure(tmp_path, "x")
    assert (tmp_path / "x").is_dir()
    (kept,) = displaced(tmp_path, "x")
    assert kept.read_text() == "precious"


def test_ensure_loses_nothing_when_something_is_in_the_way_twice(tmp_path: Path) -> None:
    put(tmp_path / "x", "first")
    ensure(tmp_path, "x")
    (tmp_path / "x").rmdir()
    put(tmp_path / "x", "second")
    ensure(tmp_path, "x")
    assert sorted(path.read_text() for path in tmp_path.iterdir() if path.is_file()) == ["first", "second"]


def test_ensure_works_beside_a_directory_that_has_the_name_for_the_displaced(tmp_path: Path) -> None:
    put(tmp_path / "x", "planted")
    (tmp_path / "x.displaced").mkdir()
    ensure(tmp_path, "x")
    assert (tmp_path / "x").is_dir()


def test_ensure_opens_up_what_is_closed_on_the_way(ordinary: Path) -> None:
    put(ordinary / "a/b/x")
    (ordinary / "a/b").chmod(0)
    (ordinary / "a").chmod(0)
    ensure(ordinary, "a/b/c")
    assert snapshot(ordinary) == {"a": None, "a/b": None, "a/b/c": None, "a/b/x": b"x"}


# -- moving aside


def test_what_is_moved_aside_is_found_under_the_name_returned(tmp_path: Path) -> None:
    with opened(tmp_path) as directory:
        for content in ("first", "second"):
            put(tmp_path / "name", content)
            kept = directories.move_aside(directory, "name")
            assert kept.startswith("name.displaced-")
            assert (tmp_path / kept).read_text() == content
    assert [path.read_text() for path in displaced(tmp_path, "name")] == ["first", "second"]


@pytest.mark.parametrize("name", [b"x" * 255, "ü".encode() * 127, b"\xff" * 255, b"x" * 201, b"x" * 200, b"\n"])
def test_a_name_of_any_length_can_be_moved_aside(tmp_path: Path, name: bytes) -> None:
    """The new name contains as much of the old one as there is room for, and never that of something else."""
    kept = []
    with opened(tmp_path) as directory:
        for content in ("first", "second"):
            put(tmp_path / os.fsdecode(name), content)
            kept.append(os.fsencode(directories.move_aside(directory, os.fsdecode(name))))
    assert all(each.startswith(name[:200] + b".displaced-") and len(each) <= 255 for each in kept)
    assert [(tmp_path / os.fsdecode(each)).read_text() for each in kept] == ["first", "second"]
    assert len(os.listdir(tmp_path)) == 2
