"""paths.walk_inside: the walk never leaves a directory, whatever somebody links meanwhile."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pi_agent.linux import paths
from tests.support.limits import open_descriptors
from tests.support.projects import PARTS, TREES, grown
from tests.support.trees import put


def walked(top: Path, path: str, named: str | None = None) -> str:
    """The real path at which a walk inside top ends. named: the path of top on the host."""
    descriptor = os.open(top, os.O_PATH)
    try:
        found = paths.walk_inside(descriptor, named or str(top), path)
    finally:
        os.close(descriptor)
    try:
        return paths.real_path(found)
    finally:
        os.close(found)


def test_a_walk_inside_ends_where_the_kernel_would(tmp_path: Path) -> None:
    put(tmp_path / "a/b/file")
    (tmp_path / "link").symlink_to("a/b")
    (tmp_path / "a/b/up").symlink_to("../../link/../b")
    (tmp_path / "absolute").symlink_to(f"{tmp_path}/link/file")
    (tmp_path / "itself").symlink_to(tmp_path)
    for name in ("a", "a/b/file", "link/file", "a/b/up/file", "absolute", "itself/link", "a/../a/./b//", "", "."):
        assert walked(tmp_path, name) == os.path.realpath(tmp_path / name), name


@pytest.mark.parametrize(
    "target", ["..", "../..", "/", "/etc", "a/../../root", "../root", "{top}/..", "{top}2", "{top}/a/../../root2"]
)
def test_no_link_leads_a_walk_inside_out(tmp_path: Path, target: str) -> None:
    top = tmp_path / "root"
    (top / "a").mkdir(parents=True)
    (tmp_path / "root2").mkdir()
    (top / "link").symlink_to(target.replace("{top}", str(top)))
    for path in ("link", "link/x", "a/../link"):
        with pytest.raises(OSError) as caught:
            walked(top, path)
        assert caught.value.errno == errno.EXDEV, path


def test_parents_above_the_top_are_refused_even_when_they_come_back(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    for path in ("..", "../root", "./..", "x/../.."):
        (tmp_path / "root/x").mkdir(exist_ok=True)
        with pytest.raises(OSError, match="cross-device"):
            walked(tmp_path / "root", path)


def test_an_absolute_link_counts_from_the_name_that_the_top_has_on_the_host(tmp_path: Path) -> None:
    put(tmp_path / "staged/a/file")
    (tmp_path / "staged/link").symlink_to("/home/alice/p/a/file")
    assert walked(tmp_path / "staged", "link", "/home/alice/p") == f"{tmp_path}/staged/a/file"
    with pytest.raises(OSError, match="cross-device"):
        walked(tmp_path / "staged", "link", "/home/alice/p2")


def test_loops_of_links_end(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to(f"{tmp_path}/a")
    (tmp_path / "deep").symlink_to("deep/deep")
    for path in ("a", "b/x", "deep"):
        with pytest.raises(OSError) as caught:
            walked(tmp_path, path)
        assert caught.value.errno == errno.ELOOP


def test_a_walk_inside_leaves_no_descriptor_open(tmp_path: Path) -> None:
    put(tmp_path / "a/b/file")
    (tmp_path / "out").symlink_to("/etc")
    (tmp_path / "in").symlink_to(tmp_path / "a")
    (tmp_path / "loop").symlink_to("loop")
    before = open_descriptors()
    for path in ("a/b/file", "in/b", "out", "loop", "no", "a/b/file/below", "..", "a/../in/b/.."):
        try:
            walked(tmp_path, path)
        except OSError:
            continue
    assert open_descriptors() == before


@given(TREES, st.lists(PARTS, max_size=6).map("/".join))
def test_whatever_the_tree_a_walk_inside_stays_inside_and_agrees_with_the_kernel(
    tree: dict[str, str], path: str
) -> None:
    with TemporaryDirectory(dir="/tmp") as name:
        base = Path(os.path.realpath(name))
        top = base / "root"
        top.mkdir()
        put(base / "outside/a")
        put(base / "rootx/a")
        grown(top, tree)
        before = open_descriptors()
        try:
            found = walked(top, path)
        except OSError as error:
            assert error.errno in (errno.EXDEV, errno.ELOOP, errno.ENOENT, errno.ENOTDIR)
        else:
            assert paths.contains(str(top), found)
            assert found == os.path.realpath(top / path)
        assert open_descriptors() == before


def test_links_that_are_swapped_meanwhile_never_lead_out(tmp_path: Path) -> None:
    top = tmp_path / "root"
    put(top / "a/inner/file", "inside")
    put(tmp_path / "outside/inner/file", "secret")
    done = threading.Event()

    def swap() -> None:
        while not done.is_set():
            (top / "a").rename(top / "kept")
            (top / "a").symlink_to(tmp_path / "outside")
            (top / "a").unlink()
            (top / "a").symlink_to("../outside")
            (top / "a").unlink()
            (top / "kept").rename(top / "a")
            # A directory is moved out during the walk: it then has another parent.
            (top / "a/inner").rename(tmp_path / "moved")
            (tmp_path / "moved").rename(top / "a/inner")
            done.wait(0.0005)  # long enough for some walks to arrive

    thread = threading.Thread(target=swap)
    thread.start()
    descriptor = os.open(top, os.O_PATH)
    succeeded = 0
    try:
        for path in [
            "a/inner/file",
            "a/inner/../inner/file",
            "a/../a/inner/file",
            "a/inner/../../../outside/inner/file",
        ]:
            for _ in range(500):
                try:
                    found = paths.walk_inside(descriptor, str(top), path)
                except OSError:
                    continue
                try:
                    reading = paths.reopen(found, os.O_RDONLY)
                    assert os.read(reading, 10) == b"inside"
                    os.close(reading)
                    succeeded += 1
                finally:
                    os.close(found)
    finally:
        done.set()
        thread.join()
        os.close(descriptor)
    assert succeeded > 0


def test_links_of_many_components_are_given_up(tmp_path: Path) -> None:
    """Each could lead through hundreds of directories, forty times."""
    put(tmp_path / "a/file")
    (tmp_path / "long").symlink_to("a/../" * 170 + "a/file")
    (tmp_path / "too long").symlink_to("a/../" * 260 + "a/file")
    top = os.open(tmp_path, os.O_PATH)
    try:
        os.close(paths.walk_inside(top, str(tmp_path), "long"))
        # A path itself may be as long as any.
        os.close(paths.walk_inside(top, str(tmp_path), "a/../" * 500 + "a/file"))
        with pytest.raises(OSError) as refused:
            paths.walk_inside(top, str(tmp_path), "too long")
        assert refused.value.errno == errno.ELOOP
    finally:
        os.close(top)
