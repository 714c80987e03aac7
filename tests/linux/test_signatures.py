from __future__ import annotations

import os
from pathlib import Path

import orjson

from pi_agent.linux.signatures import Signature, signature_of
from tests.support.trees import await_tick


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
    await_tick(path)
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


def test_a_time_of_any_size_fits_into_sixty_four_bits(tmp_path: Path) -> None:
    # tmpfs and btrfs keep such times. The file system of the tests may not.
    status = tmp_path.stat()
    values = list(status)
    for seconds in (10**12, -(10**12)):
        odd = os.stat_result(values, {"st_mtime_ns": seconds * 10**9, "st_ctime_ns": status.st_ctime_ns})
        assert orjson.loads(orjson.dumps(signature_of(odd))) == list(signature_of(odd))
        assert signature_of(odd)[2] != signature_of(status)[2]
