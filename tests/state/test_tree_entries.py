from __future__ import annotations

import os
from pathlib import Path

import pytest

from pi_agent.linux.signatures import signature_of
from pi_agent.state.tree_entries import Entry, Kind, entry_of
from tests.support.host_trees import make_special


def entry_at(path: Path) -> Entry:
    return entry_of(path.lstat())


def test_a_file_is_described_by_its_kind_permissions_size_and_signature(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("12345")
    path.chmod(0o4751)
    found = entry_at(path)
    assert (found.kind, found.mode, found.size) == (Kind.FILE, 0o4751, 5)
    assert found.signature == signature_of(path.lstat())


def test_a_directory_is_described_by_its_kind_and_permissions(tmp_path: Path) -> None:
    path = tmp_path / "directory"
    path.mkdir()
    path.chmod(0o2750)
    assert (entry_at(path).kind, entry_at(path).mode) == (Kind.DIRECTORY, 0o2750)


@pytest.mark.parametrize("kind", ["fifo", "socket", "device", "loop", "top", "dangling"])
def test_everything_else_is_other_and_links_are_not_followed(tmp_path: Path, kind: str) -> None:
    make_special(tmp_path / "odd", kind)
    assert entry_at(tmp_path / "odd").kind is Kind.OTHER


def test_entries_are_equal_until_the_file_changes(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    before = entry_at(path)
    assert entry_at(path) == before
    os.truncate(path, 2)
    assert entry_at(path) != before
