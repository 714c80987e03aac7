from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from pi_agent.linux import files
from pi_agent.linux.files import Replacement
from pi_agent.linux.signatures import signature_of
from tests.support.limits import no_room, open_descriptors
from tests.support.trees import displaced, mode_of, opened, put, snapshot

_TEMPORARY = ".pi-agent-new"


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
        before = open_descriptors()
        files.replace(directory, "name", b"x")
        files.replace(directory, "directory", b"x")
        with pytest.raises(RuntimeError), Replacement(directory, "name", 0o600):
            raise RuntimeError
        assert open_descriptors() == before
