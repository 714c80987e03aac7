from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from pi_agent.messages.refusal import EX_CONFIG, EX_UNAVAILABLE, Refusal
from pi_agent.state import user_state
from pi_agent.state.user_state import Found, State
from tests.support import people
from tests.support.limits import open_descriptors
from tests.support.people import needs_root
from tests.support.policies import USER, frozen
from tests.support.trees import displaced, mode_of, put, statuses

_INSIDE = (".pi/agent/sessions", ".npm", ".npm-global/bin", ".npm-global/lib", "projects")
_ALL = (f"users/{USER}", *(f"users/{USER}/{name}" for name in _INSIDE), f"sync/{USER}")


def look(top: Path, user: str = USER) -> Found:
    return user_state.look(frozen(stateDir=str(top)), people.agent(top), user)


def prepare(top: Path, found: Found, user: str = USER) -> State:
    return user_state.prepare(frozen(stateDir=str(top)), people.agent(top), user, found)


def opened(top: Path, user: str = USER) -> State:
    """Look, and make what is missing, as a launch does."""
    return prepare(top, look(top, user), user)


def existing(top: Path) -> State | None:
    return user_state.existing(frozen(stateDir=str(top)), people.agent(top), USER)


@pytest.fixture
def claimed(tmp_path: Path) -> Iterator[Path]:
    """A state directory in which somebody is resetting the state of USER."""
    user_state.release(opened(tmp_path))
    state = existing(tmp_path)
    assert state is not None and user_state.claim(state)
    yield tmp_path
    user_state.release(state)


# -- looking


def test_of_a_state_that_does_not_exist_everything_is_to_be_made_and_nothing_is(tmp_path: Path) -> None:
    before = statuses(tmp_path)
    assert look(tmp_path) == Found(None, None, False, _ALL)
    assert statuses(tmp_path) == before


def test_of_a_state_that_exists_nothing_is_to_be_made(tmp_path: Path) -> None:
    user_state.release(opened(tmp_path))
    before = statuses(tmp_path)
    found = look(tmp_path)
    assert found.make == ()
    assert found.home is not None and found.memory is not None
    assert os.path.samestat(os.fstat(found.home), (tmp_path / "users" / USER).stat())
    assert os.path.samestat(os.fstat(found.memory), (tmp_path / "sync" / USER).stat())
    assert statuses(tmp_path) == before


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    user_state.release(opened(tmp_path))
    (tmp_path / "users" / USER / "projects").rmdir()
    (tmp_path / "users" / USER / ".npm-global/lib").rmdir()
    assert look(tmp_path).make == (f"users/{USER}/.npm-global/lib", f"users/{USER}/projects")


def test_a_home_that_is_closed_is_told_from_one_that_does_not_exist(ordinary: Path) -> None:
    assert not look(ordinary).closed
    user_state.release(opened(ordinary))
    assert not look(ordinary).closed
    (ordinary / "users" / USER).chmod(0o500)
    found = look(ordinary)
    assert found.closed and found.home is None


@pytest.mark.parametrize("mode", [0, 0o400, 0o500])
@pytest.mark.parametrize("closed", ["projects", ".pi", ".pi/agent/sessions", "."])
def test_a_closed_directory_is_to_be_made_and_stays_closed(ordinary: Path, closed: str, mode: int) -> None:
    user_state.release(opened(ordinary))
    path = ordinary / "users" / USER / closed
    path.chmod(mode)
    found = look(ordinary)
    assert (found.home is None) is (closed == ".")
    assert found.make == {"projects": _ALL[5:6], ".": _ALL[:6]}.get(closed, _ALL[1:2])
    assert mode_of(path) == mode


def test_looking_leaves_only_what_it_returns_open(tmp_path: Path) -> None:
    before = open_descriptors()
    look(tmp_path)
    user_state.release(opened(tmp_path))
    found = look(tmp_path)
    assert len(open_descriptors()) == len(before) + 2
    user_state.release(prepare(tmp_path, found))
    assert open_descriptors() == before


# -- preparing


def test_the_tree_has_what_pi_and_npm_expect_and_is_private(tmp_path: Path) -> None:
    own = opened(tmp_path)
    tree = tmp_path / "users" / USER
    for name in _INSIDE:
        assert mode_of(tree / name) == 0o700
    assert os.path.samestat(os.fstat(own.home), tree.stat())
    assert os.path.samestat(os.fstat(own.memory), (tmp_path / "sync" / USER).stat())


def test_preparing_what_exists_changes_nothing(tmp_path: Path) -> None:
    user_state.release(opened(tmp_path))
    put(tmp_path / "users/alice/.pi/agent/sessions/one")
    before = statuses(tmp_path)
    found = look(tmp_path)
    assert prepare(tmp_path, found) == State(found.home or 0, found.memory or 0)
    assert statuses(tmp_path) == before


def test_two_launches_that_both_found_nothing_get_the_same_state(tmp_path: Path) -> None:
    first, second = look(tmp_path), look(tmp_path)
    one = prepare(tmp_path, first)
    put(tmp_path / "users" / USER / ".pi/agent/sessions/one")
    other = prepare(tmp_path, second)
    for left, right in ((one.home, other.home), (one.memory, other.memory)):
        assert os.path.samestat(os.fstat(left), os.fstat(right))
    assert (tmp_path / "users" / USER / ".pi/agent/sessions/one").exists()


def test_each_user_has_a_tree_and_a_memory_apart(tmp_path: Path) -> None:
    alice, bob = opened(tmp_path), opened(tmp_path, "bob")
    places = [os.fstat(number).st_ino for own in (alice, bob) for number in (own.home, own.memory)]
    assert len(set(places)) == 4
    assert not (tmp_path / "users/alice/sync").exists()


@pytest.mark.parametrize("planted", [".pi", ".pi/agent", ".npm", ".npm-global", "projects"])
@pytest.mark.parametrize("kind", ["link", "dangling", "file", "fifo"])
def test_what_the_agent_planted_in_place_of_a_directory_is_moved_aside(tmp_path: Path, planted: str, kind: str) -> None:
    outside = tmp_path / "outside"
    for name in (*_INSIDE, "agent/sessions", "sessions", "bin", "lib"):  # so that it would work if it were followed
        (outside / name).mkdir(parents=True)
    (tmp_path / "state").mkdir()
    path = tmp_path / "state/users/alice" / planted
    path.parent.mkdir(parents=True)
    if kind == "file":
        path.write_text("x")
    elif kind == "fifo":
        os.mkfifo(path)
    else:
        path.symlink_to(outside if kind == "link" else "/nonexistent")
    before, it = statuses(outside), path.lstat()
    opened(tmp_path / "state")
    assert statuses(outside) == before
    for name in _INSIDE:
        assert (tmp_path / "state/users/alice" / name).resolve() == tmp_path / "state/users/alice" / name
        assert (tmp_path / "state/users/alice" / name).is_dir()
    (kept,) = displaced(path.parent, path.name)
    assert os.path.samestat(kept.lstat(), it)


@pytest.mark.parametrize("mode", [0, 0o400, 0o500])
def test_directories_that_the_agent_closed_to_itself_are_opened_up(ordinary: Path, mode: int) -> None:
    user_state.release(opened(ordinary))
    tree = ordinary / "users/alice"
    put(tree / ".pi/agent/sessions/one")
    for name in (".pi/agent/sessions", ".pi/agent", ".pi", "projects", "."):
        (tree / name).chmod(mode)
    own = opened(ordinary)
    assert os.path.samestat(os.fstat(own.home), tree.stat())
    assert [mode_of(tree / name) for name in (".", ".pi", ".pi/agent", ".pi/agent/sessions", "projects")] == [0o700] * 5
    assert (tree / ".pi/agent/sessions/one").exists()
    assert look(ordinary).make == ()


# -- refusals


@pytest.mark.parametrize("name", ["none", "file", "link"])
def test_a_missing_state_directory_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    with pytest.raises(Refusal) as caught:
        look(tmp_path / name)
    assert caught.value.status == EX_CONFIG
    assert f"{tmp_path}/{name}" in caught.value.what
    assert list((tmp_path / "real").iterdir()) == []


def test_a_state_directory_of_somebody_else_is_refused(ordinary: Path) -> None:
    with pytest.raises(Refusal) as caught:
        look(Path("/usr"))
    assert caught.value.status == EX_CONFIG
    assert "does not belong to pi-agent" in caught.value.what


@needs_root
def test_a_state_directory_of_another_uid_is_refused_also_to_root(tmp_path: Path) -> None:
    os.chown(tmp_path, 4321, -1)
    for act in (look, lambda top: prepare(top, Found(None, None, False, _ALL)), existing):
        with pytest.raises(Refusal) as caught:
            act(tmp_path)
        assert caught.value.status == EX_CONFIG
    assert list(tmp_path.iterdir()) == []


def test_a_state_directory_that_cannot_be_written_is_refused_only_when_it_is_written(ordinary: Path) -> None:
    ordinary.chmod(0o500)
    found = look(ordinary)
    with pytest.raises(Refusal) as caught:
        prepare(ordinary, found)
    assert caught.value.status == EX_UNAVAILABLE
    assert str(ordinary) in caught.value.what


# -- launches and resets


def test_a_state_that_is_being_reset_is_refused(claimed: Path) -> None:
    before = open_descriptors()
    with pytest.raises(Refusal) as caught:
        look(claimed)
    assert caught.value.status == EX_UNAVAILABLE
    assert "reset" in caught.value.what
    assert len(open_descriptors()) <= len(before) + 1
    assert look(claimed, "bob").make, "it is nothing to another user"


def test_a_reset_that_begins_after_a_launch_found_nothing_refuses_it(tmp_path: Path) -> None:
    found = look(tmp_path)
    user_state.release(opened(tmp_path))  # another launch, which has ended
    state = existing(tmp_path)
    assert state is not None and user_state.claim(state)
    with pytest.raises(Refusal) as caught:
        prepare(tmp_path, found)
    assert caught.value.status == EX_UNAVAILABLE
    user_state.release(state)
    user_state.release(opened(tmp_path))


@pytest.mark.parametrize("prepared", [False, True])
def test_nobody_can_claim_a_state_that_a_launch_has_and_anybody_afterwards(tmp_path: Path, prepared: bool) -> None:
    user_state.release(opened(tmp_path))
    found = look(tmp_path)
    launch = prepare(tmp_path, found) if prepared else State(found.home or 0, found.memory or 0)
    state = existing(tmp_path)
    assert state is not None
    assert not user_state.claim(state)
    user_state.release(launch)
    assert user_state.claim(state)


def test_many_launches_share_a_state(tmp_path: Path) -> None:
    launches = [opened(tmp_path) for _ in range(3)]
    state = existing(tmp_path)
    assert state is not None
    for launch in launches:
        assert not user_state.claim(state)
        user_state.release(launch)
    assert user_state.claim(state)


def test_a_user_without_a_state_has_none_and_gets_none_by_asking(tmp_path: Path) -> None:
    before = statuses(tmp_path)
    assert existing(tmp_path) is None
    assert statuses(tmp_path) == before


def test_a_forgotten_tree_is_gone_and_its_memory_is_where_launches_meet(tmp_path: Path) -> None:
    user_state.release(opened(tmp_path))
    memory = (tmp_path / "sync" / USER).stat()
    policy, agent = frozen(stateDir=str(tmp_path)), people.agent(tmp_path)
    put(tmp_path / "users" / USER / "left")
    with pytest.raises(Refusal):
        user_state.forget(policy, agent, USER)
    assert (tmp_path / "users" / USER / "left").exists(), "only an empty tree is forgotten"
    (tmp_path / "users" / USER / "left").unlink()
    for name in sorted((path for path in (tmp_path / "users" / USER).rglob("*")), reverse=True):
        name.rmdir()
    user_state.forget(policy, agent, USER)
    assert existing(tmp_path) is None
    assert os.path.samestat((tmp_path / "sync" / USER).stat(), memory)


def test_the_lock_is_on_a_directory_that_no_agent_sees(tmp_path: Path) -> None:
    own = opened(tmp_path)
    held = os.open(tmp_path / "users" / USER, os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    user_state.release(own)
    user_state.release(opened(tmp_path))
    os.close(held)
