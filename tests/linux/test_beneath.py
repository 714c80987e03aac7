from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from pi_agent.linux import beneath
from tests.support.trees import put


@pytest.fixture
def top(tmp_path: Path) -> Iterator[int]:
    put(tmp_path / "outside/file", "secret")
    put(tmp_path / "top/a/b/file", "inside")
    (tmp_path / "top/in").symlink_to("a/b")
    (tmp_path / "top/a/file").symlink_to("b/file")
    (tmp_path / "top/out").symlink_to("../outside")
    (tmp_path / "top/absolute").symlink_to(tmp_path / "top/a")
    descriptor = os.open(tmp_path / "top", os.O_PATH)
    yield descriptor
    os.close(descriptor)


@pytest.mark.parametrize("path", ["a/b/file", "./a//b/file"])
def test_a_path_without_links_is_opened(top: int, path: str) -> None:
    descriptor = beneath.opened(top, path, os.O_RDONLY)
    assert os.read(descriptor, 9) == b"inside"
    assert not os.get_inheritable(descriptor)
    os.close(descriptor)


def test_the_empty_path_is_the_directory_itself(top: int) -> None:
    descriptor = beneath.opened(top, "", os.O_RDONLY | os.O_DIRECTORY)
    assert os.path.sameopenfile(descriptor, top)
    os.close(descriptor)


@pytest.mark.parametrize(
    ("path", "number"),
    [
        ("in/file", errno.ELOOP),
        ("a/file", errno.ELOOP),
        ("out/file", errno.ELOOP),
        ("absolute/b/file", errno.ELOOP),
        ("../outside/file", errno.EXDEV),
        ("a/../../outside/file", errno.EXDEV),
        ("/etc/passwd", errno.EXDEV),
        ("none", errno.ENOENT),
        ("a/b/file/x", errno.ENOTDIR),
    ],
)
def test_no_link_is_followed_and_nothing_outside_opened(top: int, path: str, number: int) -> None:
    with pytest.raises(OSError) as refused:
        beneath.opened(top, path, os.O_RDONLY)
    assert refused.value.errno == number


def test_a_link_at_the_end_can_be_looked_at(top: int) -> None:
    descriptor = beneath.opened(top, "a/file", os.O_PATH)
    assert os.readlink("", dir_fd=descriptor) == "b/file"
    os.close(descriptor)
