from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from pi_agent.messages.refusal import EX_CONFIG, EX_UNAVAILABLE, Refusal
from pi_agent.state import user_state
from pi_agent.state.user_state import State
from tests.support import people
from tests.support.people import needs_root
from tests.support.policies import USER, frozen

_INSIDE = (".pi/agent/sessions", ".npm", ".npm-global/bin", ".npm-global/lib", "projects")


def opened(top: Path, user: str = USER) -> State:
    return user_state.open_state(frozen(stateDir=str(top)), people.agent(top), user)


def linked(own: State, root: str) -> None:
    user_state.link_project(own, people.agent("/"), root)


def test_the_tree_has_what_pi_and_npm_expect_and_is_private(tmp_path: Path) -> None:
    own = opened(tmp_path)
    tree = tmp_path / "users" / USER
    for name in _INSIDE:
        assert stat.S_IMODE((tree / name).lstat().st_mode) == 0o700
    assert os.path.samestat(os.fstat(own.home), tree.stat())
    assert os.path.samestat(os.fstat(own.memory), (tmp_path / "sync" / USER).stat())


def test_opening_again_keeps_what_is_there(tmp_path: Path) -> None:
    opened(tmp_path)
    (tmp_path / "users/alice/.pi/agent/sessions/one").write_text("x")
    opened(tmp_path)
    assert (tmp_path / "users/alice/.pi/agent/sessions/one").read_text() == "x"


def test_each_user_has_a_tree_and_a_memory_apart(tmp_path: Path) -> None:
    alice, bob = opened(tmp_path), opened(tmp_path, "bob")
    places = [os.fstat(number).st_ino for own in (alice, bob) for number in (own.home, own.memory)]
    assert len(set(places)) == 4
    assert not (tmp_path / "users/alice/sync").exists()


@pytest.mark.parametrize("planted", [".pi", ".pi/agent", ".npm", ".npm-global", "projects"])
@pytest.mark.parametrize("kind", ["link", "dangling", "file", "fifo"])
def test_what_the_agent_planted_in_place_of_a_directory_is_moved_aside(tmp_path: Path, planted: str, kind: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (tmp_path / "state").mkdir()
    path = tmp_path / "state/users/alice" / planted
    path.parent.mkdir(parents=True)
    if kind == "file":
        path.write_text("x")
    elif kind == "fifo":
        os.mkfifo(path)
    else:
        path.symlink_to(outside if kind == "link" else "/nonexistent")
    opened(tmp_path / "state")
    assert list(outside.iterdir()) == []
    for name in _INSIDE:
        assert (tmp_path / "state/users/alice" / name).is_dir()
    (kept,) = path.parent.glob(f"{path.name}.displaced-*")
    if kind == "file":
        assert kept.read_text() == "x"
    elif kind == "fifo":
        assert kept.is_fifo()
    else:
        assert kept.is_symlink()


def test_a_missing_state_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    for name in ("none", "file", "link"):
        with pytest.raises(Refusal) as caught:
            opened(tmp_path / name)
        assert caught.value.status == EX_CONFIG
        assert f"{tmp_path}/{name}" in caught.value.what
    assert list((tmp_path / "real").iterdir()) == []


def test_a_state_directory_of_somebody_else_is_refused(ordinary: Path) -> None:
    assert opened(ordinary)
    with pytest.raises(Refusal) as caught:
        opened(Path("/usr"))
    assert caught.value.status == EX_CONFIG
    assert "does not belong to pi-agent" in caught.value.what


@needs_root
def test_a_state_directory_of_another_uid_is_refused(tmp_path: Path) -> None:
    os.chown(tmp_path, 4321, -1)
    with pytest.raises(Refusal) as caught:
        opened(tmp_path)
    assert "does not belong to pi-agent" in caught.value.what
    assert list(tmp_path.iterdir()) == []


def test_a_state_directory_that_cannot_be_written_is_refused(ordinary: Path) -> None:
    ordinary.chmod(0o500)
    with pytest.raises(Refusal) as caught:
        opened(ordinary)
    assert caught.value.status == EX_UNAVAILABLE
    assert str(ordinary) in caught.value.what


def test_directories_that_the_agent_closed_to_itself_are_opened_up(ordinary: Path) -> None:
    opened(ordinary)
    tree = ordinary / "users/alice"
    for name in (".pi/agent/sessions", ".pi/agent", ".pi", "projects", "."):
        (tree / name).chmod(0)
    own = opened(ordinary)
    linked(own, "/srv/demo")
    assert os.readlink(tree / "projects/demo") == "/srv/demo"
    assert (tree / ".pi/agent/sessions").is_dir()


def test_a_project_is_linked_under_its_name_and_follows_the_root(tmp_path: Path) -> None:
    own = opened(tmp_path)
    link = tmp_path / "users/alice/projects/demo"
    for root in ("/home/alice/demo", "/srv/demo", "/srv/demo"):
        linked(own, root)
        assert os.readlink(link) == root


def test_what_the_agent_keeps_under_the_name_is_left_alone(tmp_path: Path) -> None:
    own = opened(tmp_path)
    (tmp_path / "users/alice/projects/demo").mkdir()
    (tmp_path / "users/alice/projects/demo/notes").write_text("x")
    (tmp_path / "users/alice/projects/file").write_text("y")
    linked(own, "/srv/demo")
    linked(own, "/srv/file")
    assert (tmp_path / "users/alice/projects/demo/notes").read_text() == "x"
    assert (tmp_path / "users/alice/projects/file").read_text() == "y"


def test_a_planted_projects_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    own = opened(tmp_path / "state")
    (tmp_path / "outside").mkdir()
    (tmp_path / "state/users/alice/projects").rmdir()
    (tmp_path / "state/users/alice/projects").symlink_to(tmp_path / "outside")
    linked(own, "/srv/demo")
    assert list((tmp_path / "outside").iterdir()) == []
    assert os.readlink(tmp_path / "state/users/alice/projects/demo") == "/srv/demo"
