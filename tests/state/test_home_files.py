from __future__ import annotations

import os
from pathlib import Path

import pytest

from pi_agent.messages.refusal import EX_UNAVAILABLE, Refusal
from pi_agent.state import home_files
from pi_agent.state.home_files import HomeFile, ProjectLink
from pi_agent.state.user_state import State
from tests.support import people
from tests.support.limits import no_room, open_descriptors
from tests.support.trees import displaced, mode_of, opened, put, snapshot, statuses

_FILE = HomeFile("a/b", "name", b"content")


def is_current(home: Path, wanted: HomeFile = _FILE) -> bool:
    with opened(home) as descriptor:
        return home_files.plan(descriptor, wanted) is None


def write(home: Path, wanted: HomeFile = _FILE) -> None:
    with opened(home) as descriptor:
        home_files.write(people.agent(home), State(descriptor, descriptor), wanted)


def plan_link(home: Path, root: str) -> ProjectLink | None:
    with opened(home) as descriptor:
        return home_files.plan_link(descriptor, root)


def make_link(home: Path, root: str) -> None:
    with opened(home) as descriptor:
        home_files.make_link(people.agent(home), State(descriptor, descriptor), ProjectLink(root))


def in_place_of_folder(home: Path, folder: str, kind: str) -> None:
    """Plant something in the place of a directory. Links lead to home/../outside."""
    path = home / folder
    path.parent.mkdir(parents=True, exist_ok=True)
    if kind == "file":
        path.write_text("planted")
    elif kind == "fifo":
        os.mkfifo(path)
    else:
        path.symlink_to(home.parent / "outside" if kind == "link" else "/nonexistent")


@pytest.fixture
def home(ordinary: Path) -> Path:
    """The agent's home, beside a directory that it must not touch."""
    (ordinary / "home").mkdir()
    put(ordinary / "outside/b/name", "content")
    put(ordinary / "outside/name", "content")
    return ordinary / "home"


# -- a file


def test_a_file_is_known_by_its_path_in_the_home() -> None:
    assert _FILE.path == "a/b/name"


def test_a_file_is_current_only_with_exactly_that_content(home: Path) -> None:
    assert not is_current(home)
    for content, current in (("content", True), ("conten", False), ("content ", False), ("", False)):
        put(home / "a/b/name", content)
        assert is_current(home) is current
    assert home_files.plan(None, _FILE) == _FILE


@pytest.mark.parametrize("folder", ["a", "a/b"])
@pytest.mark.parametrize("kind", ["link", "dangling", "file", "fifo"])
def test_a_file_behind_something_else_than_a_folder_is_not_current(home: Path, folder: str, kind: str) -> None:
    in_place_of_folder(home, folder, kind)
    assert not is_current(home)


@pytest.mark.parametrize("kind", ["link", "directory", "fifo", "closed"])
def test_something_else_under_the_name_is_not_current_and_is_not_waited_for(home: Path, kind: str) -> None:
    plant_name(home, kind)
    assert not is_current(home)


@pytest.mark.parametrize("mode", [0, 0o400])
def test_a_file_in_a_closed_folder_is_not_current_and_the_folder_stays_closed(home: Path, mode: int) -> None:
    put(home / "a/b/name", "content")
    (home / "a").chmod(mode)
    assert not is_current(home)
    assert mode_of(home / "a") == mode


def plant_name(home: Path, kind: str) -> None:
    """Plant something in the place of the file."""
    path = home / "a/b/name"
    path.parent.mkdir(parents=True)
    if kind == "link":
        path.symlink_to(home.parent / "outside/name")
    elif kind == "directory":
        put(path / "precious")
    elif kind == "fifo":
        os.mkfifo(path)
    else:
        put(path, "content")
        path.chmod(0)


def test_what_is_written_is_private_and_current(home: Path) -> None:
    os.umask(0)
    write(home)
    assert snapshot(home) == {"a": None, "a/b": None, "a/b/name": b"content"}
    assert [mode_of(home / name) for name in ("a", "a/b", "a/b/name")] == [0o700, 0o700, 0o600]
    assert is_current(home)


@pytest.mark.parametrize("folder", ["a", "a/b"])
@pytest.mark.parametrize("kind", ["link", "dangling", "file", "fifo"])
def test_what_stands_in_the_way_of_the_folder_is_moved_aside_and_not_followed(
    home: Path, folder: str, kind: str
) -> None:
    outside = statuses(home.parent / "outside")
    in_place_of_folder(home, folder, kind)
    planted = (home / folder).lstat()
    write(home)
    assert is_current(home)
    (kept,) = displaced((home / folder).parent, os.path.basename(folder))
    assert os.path.samestat(kept.lstat(), planted)
    assert statuses(home.parent / "outside") == outside


@pytest.mark.parametrize("kind", ["link", "directory", "fifo", "closed"])
def test_what_stands_under_the_name_is_replaced_and_a_directory_moved_aside(home: Path, kind: str) -> None:
    outside = statuses(home.parent / "outside")
    plant_name(home, kind)
    write(home)
    assert is_current(home)
    kept = displaced(home / "a/b", "name")
    assert [snapshot(each) for each in kept] == ([{"precious": b"x"}] if kind == "directory" else [])
    assert statuses(home.parent / "outside") == outside


@pytest.mark.parametrize("mode", [0, 0o400, 0o500])
def test_a_closed_folder_is_opened_up_to_write(home: Path, mode: int) -> None:
    put(home / "a/b/other")
    (home / "a/b").chmod(mode)
    (home / "a").chmod(mode)
    write(home)
    assert is_current(home)
    assert (home / "a/b/other").exists()


def test_a_file_that_cannot_be_written_is_refused_with_its_path_and_stays_as_it_was(home: Path) -> None:
    put(home / "a/b/name", "old")
    before = snapshot(home)
    with pytest.raises(Refusal) as caught, no_room():
        write(home)
    assert caught.value.status == EX_UNAVAILABLE
    assert "a/b/name" in caught.value.what
    assert snapshot(home) == before


# -- the link to the project


def test_a_link_is_known_by_the_name_of_its_root() -> None:
    assert ProjectLink("/home/alice/demo").path == "projects/demo"


def test_a_link_is_made_once_and_follows_the_root(home: Path) -> None:
    for root in ("/home/alice/demo", "/srv/demo"):
        assert plan_link(home, root) == ProjectLink(root)
        make_link(home, root)
        assert os.readlink(home / "projects/demo") == root
        assert plan_link(home, root) is None
    assert home_files.plan_link(None, "/srv/demo") == ProjectLink("/srv/demo")


@pytest.mark.parametrize("kind", ["file", "directory", "fifo"])
def test_what_the_agent_keeps_under_the_name_is_left_alone(home: Path, kind: str) -> None:
    path = home / "projects/demo"
    path.parent.mkdir()
    if kind == "file":
        path.write_text("x")
    elif kind == "directory":
        put(path / "notes")
    else:
        os.mkfifo(path)
    before = statuses(home)
    assert plan_link(home, "/srv/demo") is None
    make_link(home, "/srv/demo")  # as if it was planted after the plan
    assert statuses(home) == before


@pytest.mark.parametrize("kind", ["link", "dangling", "file", "fifo"])
def test_what_stands_in_the_way_of_the_projects_is_moved_aside_and_not_followed(home: Path, kind: str) -> None:
    outside = statuses(home.parent / "outside")
    in_place_of_folder(home, "projects", kind)
    assert plan_link(home, "/srv/demo") == ProjectLink("/srv/demo")
    make_link(home, "/srv/demo")
    assert os.readlink(home / "projects/demo") == "/srv/demo"
    assert len(displaced(home, "projects")) == 1
    assert statuses(home.parent / "outside") == outside


def test_a_closed_folder_of_projects_is_opened_up_only_to_make_the_link(home: Path) -> None:
    (home / "projects").mkdir()
    (home / "projects/demo").symlink_to("/srv/demo")
    (home / "projects").chmod(0)
    assert plan_link(home, "/srv/demo") == ProjectLink("/srv/demo"), "nobody can tell"
    assert mode_of(home / "projects") == 0
    make_link(home, "/srv/demo")
    assert os.readlink(home / "projects/demo") == "/srv/demo"


def test_a_link_that_cannot_be_made_is_refused(home: Path) -> None:
    home.chmod(0o500)
    with pytest.raises(Refusal) as caught:
        make_link(home, "/srv/demo")
    assert caught.value.status == EX_UNAVAILABLE
    assert "projects" in caught.value.what


# -- both


def test_planning_changes_nothing(home: Path) -> None:
    put(home / "a/b/name", "old")
    (home / "projects").mkdir()
    before = statuses(home)
    is_current(home)
    plan_link(home, "/srv/demo")
    assert statuses(home) == before


def test_no_descriptor_is_left_open(home: Path) -> None:
    before = open_descriptors()
    for _ in range(2):
        is_current(home)
        write(home)
        plan_link(home, "/srv/demo")
        make_link(home, "/srv/demo")
    assert open_descriptors() == before
