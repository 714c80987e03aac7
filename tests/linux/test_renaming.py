from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from pi_agent.linux import renaming
from tests.support import people
from tests.support.trees import mode_of, opened, put


def test_a_free_name_is_taken_and_a_link_itself_is_renamed(tmp_path: Path) -> None:
    put(tmp_path / "a", "one")
    (tmp_path / "link").symlink_to("a")
    with opened(tmp_path) as directory:
        renaming.rename(directory, "a", "b")
        renaming.rename(directory, "link", "moved")
    assert (tmp_path / "b").read_text() == "one" and os.readlink(tmp_path / "moved") == "a"


@pytest.mark.parametrize("taken", ["file", "directory", "dangling link"])
def test_a_name_that_is_taken_stays(tmp_path: Path, taken: str) -> None:
    put(tmp_path / "a")
    there = tmp_path / "b"
    if taken == "file":
        put(there, "precious")
    elif taken == "directory":
        there.mkdir()
    else:
        there.symlink_to("nowhere")
    with opened(tmp_path) as directory, pytest.raises(FileExistsError):
        renaming.rename(directory, "a", "b")
    assert (tmp_path / "a").exists() and os.path.lexists(there)


@people.needs_root
def test_only_its_owner_opens_a_directory(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(0o000)
    looked = os.open(closed, os.O_PATH)
    with people.being_nobody(), pytest.raises(OSError) as refused:
        renaming.make_writable(looked)
    assert refused.value.errno == errno.EPERM and mode_of(closed) == 0
    people.give_to_nobody(closed)
    with people.being_nobody():
        renaming.make_writable(looked)
    assert mode_of(closed) == 0o300
    os.close(looked)
