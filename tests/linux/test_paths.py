from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pi_agent.linux import paths
from tests.support.people import needs_root


def landed(path: str, **how: object) -> str:
    """The real path at which a walk along path ends."""
    descriptor = paths.walk(path, **how)  # type: ignore[arg-type]
    try:
        return paths.real_path(descriptor)
    finally:
        os.close(descriptor)


def test_a_walk_ends_where_the_kernel_would(tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/file").write_text("")
    (tmp_path / "relative").symlink_to("a/b")
    (tmp_path / "absolute").symlink_to(tmp_path / "a")
    (tmp_path / "a/b/up").symlink_to("../..")
    for name in ("a", "a/b", "a//./b/", "relative", "absolute/b", "relative/../file", "relative/up/absolute/b/up"):
        assert landed(f"{tmp_path}/{name}") == os.path.realpath(tmp_path / name), name
    assert landed("/") == "/"
    assert landed("/..") == "/"


def test_a_relative_walk_begins_at_start_and_an_absolute_one_does_not(tmp_path: Path) -> None:
    (tmp_path / "here/below").mkdir(parents=True)
    (tmp_path / "here/out").symlink_to(tmp_path)
    start = os.open(tmp_path / "here", os.O_PATH)
    assert landed("below", start=start) == f"{tmp_path}/here/below"
    assert landed("out", start=start) == str(tmp_path)
    assert landed(str(tmp_path), start=start) == str(tmp_path)
    assert landed(".", start=start) == f"{tmp_path}/here"
    os.close(start)


def test_a_walk_gives_an_o_path_descriptor_that_programs_do_not_inherit(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("secret")
    descriptor = paths.walk(f"{tmp_path}/file")
    assert not os.get_inheritable(descriptor)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.read(descriptor, 1)
    os.close(descriptor)


def test_the_judge_sees_each_link_with_the_directory_that_holds_it(tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "first").symlink_to("a/second/c")
    (tmp_path / "a/second").symlink_to("b")
    (tmp_path / "a/b/c").mkdir()
    seen: list[tuple[str, str]] = []
    landed(f"{tmp_path}/first", on_link=lambda where, name: seen.append((paths.real_path(where), name)))
    assert seen == [(str(tmp_path), "first"), (f"{tmp_path}/a", "second")]


def test_a_judge_can_stop_the_walk_before_a_link_is_followed(tmp_path: Path) -> None:
    def never(_directory: int, name: str) -> None:
        raise PermissionError(name)

    (tmp_path / "link").symlink_to("/nonexistent")
    (tmp_path / "plain").mkdir()
    with pytest.raises(PermissionError, match="link"):
        paths.walk(f"{tmp_path}/link/x", on_link=never)
    assert landed(f"{tmp_path}/plain", on_link=never) == f"{tmp_path}/plain"


def test_every_directory_on_the_way_is_shown_also_behind_links(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "a/link").symlink_to("../other/file")
    (tmp_path / "other/file").write_text("")
    seen: list[str] = []
    landed(f"{tmp_path}/a/link", on_directory=lambda where: seen.append(paths.real_path(where)))
    assert {"/", str(tmp_path), f"{tmp_path}/a", f"{tmp_path}/other"} <= set(seen)


def test_loops_end_with_eloop(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(OSError) as caught:
        paths.walk(f"{tmp_path}/a")
    assert caught.value.errno == errno.ELOOP


def test_forty_links_in_a_row_are_followed_and_no_more(tmp_path: Path) -> None:
    (tmp_path / "0").mkdir()
    for number in range(1, 42):
        (tmp_path / str(number)).symlink_to(str(number - 1))
    assert landed(f"{tmp_path}/40") == f"{tmp_path}/0"
    with pytest.raises(OSError) as caught:
        paths.walk(f"{tmp_path}/41")
    assert caught.value.errno == errno.ELOOP


def test_a_walk_leaves_no_descriptor_behind(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "link").symlink_to(tmp_path)
    before = sorted(os.listdir("/proc/self/fd"))
    landed(f"{tmp_path}/link/link")
    for name in ("loop", "missing", "link/missing/x"):
        with pytest.raises(OSError):
            paths.walk(f"{tmp_path}/{name}")
    assert sorted(os.listdir("/proc/self/fd")) == before


def test_what_was_walked_to_stays_the_same_when_the_name_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("good")
    descriptor = paths.walk(f"{tmp_path}/file")
    (tmp_path / "file").rename(tmp_path / "moved")
    (tmp_path / "file").write_text("evil")
    opened = paths.reopen(descriptor, os.O_RDONLY)
    assert os.read(opened, 10) == b"good"
    assert not os.get_inheritable(opened)
    os.close(opened)
    os.close(descriptor)


def trusted(directory: Path | str) -> bool:
    descriptor = os.open(directory, os.O_PATH | os.O_DIRECTORY)
    try:
        return paths.only_root_changes(descriptor)
    finally:
        os.close(descriptor)


def test_only_root_changes_the_kernels_own_directories() -> None:
    assert trusted("/proc")
    assert trusted("/proc/sys")


def test_a_directory_for_everybody_is_not_roots_alone(tmp_path: Path) -> None:
    tmp_path.chmod(0o1777)
    assert not trusted(tmp_path)


@needs_root
@pytest.mark.parametrize(
    ("owner", "group", "mode", "expected"),
    [
        (0, 0, 0o755, True),
        (0, 0, 0o775, True),
        (0, 4321, 0o755, True),
        (0, 4321, 0o775, False),
        (0, 0, 0o757, False),
        (0, 0, 0o1777, False),
        (4321, 0, 0o700, False),
        (4321, 0, 0o500, False),
    ],
)
def test_who_can_change_a_directory(tmp_path: Path, owner: int, group: int, mode: int, expected: bool) -> None:
    os.chown(tmp_path, owner, group)
    tmp_path.chmod(mode)
    assert trusted(tmp_path) is expected


@pytest.mark.parametrize(
    ("directory", "path", "expected"),
    [
        ("/a", "/a", True),
        ("/a", "/a/b", True),
        ("/a/", "/a/b", True),
        ("/", "/a", True),
        ("/a", "/ab", False),
        ("/a/b", "/a", False),
        ("/a", "/", False),
        ("/a", "/A/b", False),
    ],
)
def test_containment_goes_by_whole_names(directory: str, path: str, expected: bool) -> None:
    assert paths.contains(directory, path) is expected


@given(st.lists(st.sampled_from(["a", "b", "ab"]), max_size=4), st.lists(st.sampled_from(["a", "b", "ab"]), max_size=4))
def test_containment_is_a_prefix_of_components(left: list[str], right: list[str]) -> None:
    inside = right[: len(left)] == left
    assert paths.contains("/" + "/".join(left), "/" + "/".join(right)) is inside
