from __future__ import annotations

import errno
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pi_agent.linux import directories, files, removal
from pi_agent.linux.files import Replacement
from pi_agent.linux.signatures import signature_of
from tests.support.bench import snapshot
from tests.support.limits import few_descriptors, no_room
from tests.support.people import needs_root
from tests.support.trees import Nest, put

_TEMPORARY = ".pi-agent-new"


@contextmanager
def opened(path: Path) -> Iterator[int]:
    """A directory, open."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def displaced(top: Path, name: str) -> list[Path]:
    """What was moved aside from name in top, the oldest first."""
    return sorted(top.glob(f"{name}.displaced-*"))


# -- reading


def read_named(top: Path, name: str, at_most: int = 100) -> bytes | None:
    with opened(top) as directory:
        return files.read_named(directory, name, at_most)


def test_a_file_is_read_whole_up_to_the_limit(tmp_path: Path) -> None:
    for size in (0, 1, 99, 100):
        put(tmp_path / "file", "x" * size)
        assert read_named(tmp_path, "file") == b"x" * size
    put(tmp_path / "file", "x" * 101)
    with pytest.raises(ValueError, match="larger"):
        read_named(tmp_path, "file")


def test_a_file_that_is_not_there_is_none(tmp_path: Path) -> None:
    assert read_named(tmp_path, "none") is None


@pytest.mark.parametrize("kind", ["link", "dangling", "directory", "fifo"])
def test_what_is_no_file_is_neither_followed_nor_waited_for(tmp_path: Path, kind: str) -> None:
    put(tmp_path / "secret", "private")
    if kind == "directory":
        (tmp_path / "name").mkdir()
    elif kind == "fifo":
        os.mkfifo(tmp_path / "name")
    else:
        (tmp_path / "name").symlink_to("secret" if kind == "link" else "none")
    with pytest.raises((OSError, ValueError)):
        read_named(tmp_path, "name")


def test_a_file_that_is_closed_to_us_is_an_error_and_not_none(ordinary: Path) -> None:
    put(ordinary / "name")
    (ordinary / "name").chmod(0)
    with pytest.raises(PermissionError):
        read_named(ordinary, "name")


# -- replacing


def test_a_replacement_that_fails_changes_nothing(tmp_path: Path) -> None:
    put(tmp_path / "name", "old")
    with opened(tmp_path) as directory:
        with pytest.raises(RuntimeError), Replacement(directory, "name", 0o600) as new:
            os.write(new.descriptor, b"half")
            raise RuntimeError
        assert snapshot(tmp_path) == {"name": b"old"}
        files.replace(directory, "name", b"new")
    assert snapshot(tmp_path) == {"name": b"new"}


def test_a_replacement_without_room_changes_nothing(tmp_path: Path) -> None:
    put(tmp_path / "name", "old")
    with opened(tmp_path) as directory, no_room(), pytest.raises(OSError, match="File too large"):
        files.replace(directory, "name", b"new")
    assert snapshot(tmp_path) == {"name": b"old"}


@pytest.mark.parametrize("call", ["rename", "fchmod"])
def test_a_replacement_that_cannot_take_its_place_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "full")

    put(tmp_path / "name", "old")
    with opened(tmp_path) as directory, monkeypatch.context() as patch:
        patch.setattr(os, call, full)
        with pytest.raises(OSError, match="full"):
            files.replace(directory, "name", b"new")
    assert snapshot(tmp_path) == {"name": b"old"}


def test_a_replaced_file_is_not_written_into(tmp_path: Path) -> None:
    """A hard link of the old file, or a link in its place, must keep its content."""
    put(tmp_path / "name", "old")
    os.link(tmp_path / "name", tmp_path / "hard")
    (tmp_path / "link").symlink_to("hard")
    with opened(tmp_path) as directory:
        for name in ("name", "link"):
            files.replace(directory, name, b"new")
    assert snapshot(tmp_path) == {"name": b"new", "hard": b"old", "link": b"new"}


def test_a_directory_in_the_place_is_moved_aside_with_all_it_holds(tmp_path: Path) -> None:
    put(tmp_path / "name/below/notes", "precious")
    with opened(tmp_path) as directory:
        files.replace(directory, "name", b"new")
    (kept,) = displaced(tmp_path, "name")
    assert (tmp_path / "name").read_bytes() == b"new"
    assert snapshot(kept) == {"below": None, "below/notes": b"precious"}
    assert len(os.listdir(tmp_path)) == 2


@pytest.mark.parametrize("kind", ["file", "closed file", "directory", "link", "fifo"])
def test_what_a_killed_writer_left_is_in_nobodys_way(ordinary: Path, kind: str) -> None:
    left = ordinary / _TEMPORARY
    put(ordinary / "precious", "precious")
    if kind == "directory":
        put(left / "x/y")
        (left / "x").chmod(0)
    elif kind == "link":
        left.symlink_to("precious")
    elif kind == "fifo":
        os.mkfifo(left)
    else:
        put(left, "half")
        left.chmod(0 if kind == "closed file" else 0o600)
    with opened(ordinary) as directory:
        files.replace(directory, "name", b"new")
    assert snapshot(ordinary) == {"name": b"new", "precious": b"precious"}


@pytest.mark.parametrize("mode", [0o600, 0o700])
def test_a_replacement_has_the_mode_asked_for_whatever_the_umask(tmp_path: Path, mode: int) -> None:
    os.umask(0o777)
    with opened(tmp_path) as directory, Replacement(directory, "name", mode):
        pass
    assert mode_of(tmp_path / "name") == mode


def test_a_replacements_signature_is_that_of_the_file_we_wrote(tmp_path: Path) -> None:
    with opened(tmp_path) as directory:
        with Replacement(directory, "name", 0o600) as new:
            os.write(new.descriptor, b"ours")
        assert new.signature == signature_of((tmp_path / "name").stat())
        (tmp_path / "name").rename(tmp_path / "away")
        put(tmp_path / "name", "evil")
        assert new.signature != signature_of((tmp_path / "name").stat())


def test_much_is_written_whole(tmp_path: Path) -> None:
    content = os.urandom(3 << 20)
    with opened(tmp_path) as directory:
        files.replace(directory, "name", content)
    assert (tmp_path / "name").read_bytes() == content
    assert mode_of(tmp_path / "name") == 0o600


def test_no_replacement_leaves_a_descriptor_open(tmp_path: Path) -> None:
    put(tmp_path / "directory/x")
    with opened(tmp_path) as directory:
        before = sorted(os.listdir("/proc/self/fd"))
        files.replace(directory, "name", b"x")
        files.replace(directory, "directory", b"x")
        with pytest.raises(RuntimeError), Replacement(directory, "name", 0o600):
            raise RuntimeError
        assert sorted(os.listdir("/proc/self/fd")) == before


# -- keeping


def keep(top: Path, name: str, content: bytes) -> None:
    with opened(top) as directory:
        files.keep(directory, name, content)


@given(st.binary(max_size=8), st.binary(max_size=8))
def test_what_is_kept_is_there_afterwards(tmp_path_factory: pytest.TempPathFactory, old: bytes, new: bytes) -> None:
    top = tmp_path_factory.mktemp("kept", numbered=True)
    (top / "name").write_bytes(old)
    before = (top / "name").stat()
    keep(top, "name", new)
    assert snapshot(top) == {"name": new}
    assert ((top / "name").stat() == before) is (old == new)


@pytest.mark.parametrize("kind", ["missing", "link", "fifo", "directory", "closed"])
def test_what_is_kept_takes_the_place_of_anything_else(ordinary: Path, kind: str) -> None:
    put(ordinary / "outside", "wanted")
    if kind == "link":
        (ordinary / "name").symlink_to("outside")
    elif kind == "fifo":
        os.mkfifo(ordinary / "name")
    elif kind == "directory":
        (ordinary / "name").mkdir()
    elif kind == "closed":
        put(ordinary / "name", "wanted")
        (ordinary / "name").chmod(0)
    keep(ordinary, "name", b"wanted")
    assert stat.S_ISREG((ordinary / "name").lstat().st_mode)
    assert (ordinary / "name").read_bytes() == (ordinary / "outside").read_bytes() == b"wanted"


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
    """The new name tells what the old one was as far as there is room, and never that of something else."""
    kept = []
    with opened(tmp_path) as directory:
        for content in ("first", "second"):
            put(tmp_path / os.fsdecode(name), content)
            kept.append(os.fsencode(directories.move_aside(directory, os.fsdecode(name))))
    assert all(each.startswith(name[:200] + b".displaced-") and len(each) <= 255 for each in kept)
    assert [(tmp_path / os.fsdecode(each)).read_text() for each in kept] == ["first", "second"]
    assert len(os.listdir(tmp_path)) == 2


# -- entering


def entered(top: Path, path: str) -> list[str]:
    """The names in the directory that path, a name or several, leads to from top."""
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
    before = sorted(os.listdir("/proc/self/fd"))
    entered(tmp_path, "a/b")
    for path in ("none", "a/none", "a/none/b"):
        with pytest.raises(OSError):
            entered(tmp_path, path)
    with opened(tmp_path) as top:
        directories.make_path(top, "a/c/d")
    assert sorted(os.listdir("/proc/self/fd")) == before


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


# -- removing


def remove(top: Path, name: str) -> None:
    with opened(top) as directory:
        removal.remove(directory, name)


@pytest.mark.parametrize("kind", ["file", "closed file", "link", "link to a directory", "dangling", "fifo"])
def test_what_is_no_directory_is_removed_and_not_followed(ordinary: Path, kind: str) -> None:
    put(ordinary / "outside/precious", "precious")
    targets = {"link": "outside/precious", "link to a directory": "outside", "dangling": "none"}
    if kind == "fifo":
        os.mkfifo(ordinary / "name")
    elif kind in targets:
        (ordinary / "name").symlink_to(targets[kind])
    else:
        put(ordinary / "name")
        (ordinary / "name").chmod(0o600 if kind == "file" else 0)
    remove(ordinary, "name")
    assert snapshot(ordinary) == {"outside": None, "outside/precious": b"precious"}


def test_links_inside_a_tree_are_removed_and_not_followed(ordinary: Path) -> None:
    put(ordinary / "outside/below/precious", "precious")
    (ordinary / "outside/below").chmod(0o500)
    (ordinary / "tree/a/b").mkdir(parents=True)
    for number, target in enumerate((f"{ordinary}/outside", f"{ordinary}/outside/below/precious", "..", ".", "none")):
        for place in ("tree", "tree/a", "tree/a/b"):
            (ordinary / place / f"link-{number}").symlink_to(target)
    remove(ordinary, "tree")
    assert snapshot(ordinary).keys() == {"outside", "outside/below", "outside/below/precious"}
    assert mode_of(ordinary / "outside/below") == 0o500


def test_directories_that_their_owner_closed_are_removed_with_all_they_hold(ordinary: Path) -> None:
    put(ordinary / "neighbour/x")
    for mode in (0, 0o100, 0o400, 0o500, 0o600):
        for place in ("tree", f"tree/{mode:o}/below"):
            put(ordinary / place / f"{mode:o}/x")
            (ordinary / place / f"{mode:o}/x").chmod(0)
    (ordinary / "neighbour").chmod(0o500)
    for path in sorted(ordinary.glob("tree/**/"), reverse=True):
        path.chmod(int(path.name, 8) if path.name.isdigit() else 0)
    remove(ordinary, "tree")
    assert snapshot(ordinary) == {"neighbour": None, "neighbour/x": b"x"}
    assert mode_of(ordinary / "neighbour") == 0o500


def test_a_tree_of_any_depth_is_removed_with_few_descriptors(nest: Nest, tmp_path: Path) -> None:
    put(tmp_path / "neighbour")
    nest(tmp_path, ["tree", *["d"] * 3000])
    with few_descriptors(8):
        remove(tmp_path, "tree")
    assert snapshot(tmp_path) == {"neighbour": b"x"}


def test_a_tree_of_any_width_is_removed_with_few_descriptors(tmp_path: Path) -> None:
    for number in range(50):
        put(tmp_path / f"tree/{number}/{number}/x")
    with few_descriptors(8):
        remove(tmp_path, "tree")
    assert snapshot(tmp_path) == {}


@pytest.mark.parametrize("kind", ["directory", "file"])
def test_what_was_planted_under_a_name_of_ours_does_not_stop_a_removal(tmp_path: Path, kind: str) -> None:
    (tmp_path / "tree/below").mkdir(parents=True)
    planted = tmp_path / f"{directories.OURS}removing-{os.getpid()}-1"
    put(planted / "x" if kind == "directory" else planted)
    remove(tmp_path, "tree")
    assert not (tmp_path / "tree").exists()


def test_what_is_moved_up_to_go_gets_names_of_ours_that_nobody_can_guess(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names: list[str] = []
    rename = os.rename

    def watched(source: str, target: str, *, src_dir_fd: int, dst_dir_fd: int) -> None:
        names.append(target)
        rename(source, target, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)

    monkeypatch.setattr(os, "rename", watched)
    for _ in range(2):
        for number in range(5):
            (tmp_path / f"tree/{number}/below").mkdir(parents=True)
        remove(tmp_path, "tree")
    assert len(set(names)) == len(names) == 20
    assert all(name.startswith(directories.OURS) for name in names)
    assert len({name[-16:] for name in names}) == 20
    assert snapshot(tmp_path) == {}


def test_what_is_not_there_needs_no_removal(tmp_path: Path) -> None:
    put(tmp_path / "file")
    remove(tmp_path, "none")
    assert snapshot(tmp_path) == {"file": b"x"}


def test_a_directory_that_vanishes_after_it_was_moved_up_leaves_the_rest_to_be_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b", "c"):
        put(tmp_path / f"tree/{name}/below/x")
    moved: list[str] = []
    rename = os.rename

    def vanishing(source: str, target: str, *, src_dir_fd: int, dst_dir_fd: int) -> None:
        rename(source, target, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)
        moved.append(target)
        if len(moved) == 2:
            shutil.rmtree(tmp_path / target)

    monkeypatch.setattr(os, "rename", vanishing)
    remove(tmp_path, "tree")
    assert snapshot(tmp_path) == {}
    assert len(moved) == 5


def test_a_link_that_takes_the_place_of_what_is_going_is_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path / "outside/precious", "precious")
    (tmp_path / "outside").chmod(0o500)
    put(tmp_path / "tree/x")
    enter = directories.enter

    def swapped(parent: int, name: str) -> int:
        (tmp_path / "tree").rename(tmp_path / "away")
        (tmp_path / "tree").symlink_to("outside")
        return enter(parent, name)

    monkeypatch.setattr(directories, "enter", swapped)
    remove(tmp_path, "tree")
    assert (tmp_path / "outside/precious").read_text() == "precious"
    assert mode_of(tmp_path / "outside") == 0o500


def test_what_cannot_be_removed_is_an_error_and_not_taken_for_gone(ordinary: Path) -> None:
    put(ordinary / "closed/tree/x")
    (ordinary / "closed").chmod(0o500)
    with pytest.raises(PermissionError):
        remove(ordinary / "closed", "tree")
    assert (ordinary / "closed/tree").is_dir()


@pytest.mark.parametrize("at", [0, 1, 2, 3])
def test_a_name_that_vanishes_from_a_directory_leaves_the_rest_to_be_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    put(tmp_path / "tree/a/below/x")
    put(tmp_path / "tree/b")
    put(tmp_path / "tree/c/x")
    listdir = os.listdir

    def remembered(directory: int) -> list[str]:
        names = sorted(listdir(directory))
        return [*names[:at], "vanished", *names[at:]]

    with monkeypatch.context() as patch:
        patch.setattr(os, "listdir", remembered)
        remove(tmp_path, "tree")
    assert snapshot(tmp_path) == {}


def test_what_is_planted_in_a_directory_that_is_going_refuses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path / "tree/a/x")
    gone: list[str] = []
    rmdir = os.rmdir

    def late(name: str, *, dir_fd: int) -> None:
        if not gone:
            put(tmp_path / "tree/late")
        gone.append(name)
        rmdir(name, dir_fd=dir_fd)

    with monkeypatch.context() as patch:
        patch.setattr(os, "rmdir", late)
        remove(tmp_path, "tree")
    assert not (snapshot(tmp_path).keys() - {"tree", "tree/late"}), "of what was there nothing is left"


def test_no_removal_leaves_a_descriptor_open(tmp_path: Path) -> None:
    put(tmp_path / "tree/a/b/x")
    before = sorted(os.listdir("/proc/self/fd"))
    remove(tmp_path, "tree")
    assert sorted(os.listdir("/proc/self/fd")) == before
