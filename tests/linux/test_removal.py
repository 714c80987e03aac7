from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from pi_agent.linux import directories, removal
from tests.support.limits import few_descriptors, open_descriptors
from tests.support.trees import Nest, mode_of, opened, put, snapshot


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
    before = open_descriptors()
    remove(tmp_path, "tree")
    assert open_descriptors() == before
