from __future__ import annotations

import os
from pathlib import Path

from pi_agent.signature import Signature, signature_of


def signed(path: Path) -> Signature:
    return signature_of(path.stat())


def test_a_signature_is_inode_size_and_both_times(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("good")
    status = path.stat()
    assert signed(path) == (status.st_ino, 4, status.st_mtime_ns, status.st_ctime_ns)
    path.read_text()
    assert signed(path) == signature_of(status)


def test_a_signature_changes_with_the_content_even_when_the_times_are_put_back(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("good")
    before, status = signed(path), path.stat()
    while path.stat().st_ctime_ns == status.st_ctime_ns:  # the kernel's clock for files is a coarse one
        path.write_text("evil")
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert path.stat().st_mtime_ns == status.st_mtime_ns
    assert signed(path) != before


def test_another_file_under_the_name_has_another_signature(tmp_path: Path) -> None:
    path, other = tmp_path / "file", tmp_path / "other"
    for each in (path, other):
        each.write_text("same")
        os.utime(each, ns=(1, 1))
    before = signed(path)
    other.rename(path)
    assert signed(path) != before
