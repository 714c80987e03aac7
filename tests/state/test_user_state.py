from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from pi_agent.messages.refusal import EX_CONFIG, EX_UNAVAILABLE, Refusal
from pi_agent.state import sync_directory, user_state
from pi_agent.state.user_state import Found, State
from tests.support import people
from tests.support.limits import open_descriptors
from tests.support.people import needs_root
from tests.support.policies import USER, frozen
from tests.support.trees import displaced, mode_of, put, statuses

_INSIDE = (".pi/agent/sessions", ".npm", ".npm-global/bin", ".npm-global/lib", "projects")
_ALL = (f"users/{USER}", *(f"users/{USER}/{name}" for name in _INSIDE))


@pytest.fixture
def top(tmp_path: Path) -> Path:
    """The state directory."""
    (tmp_path / "state").mkdir()
    return tmp_path / "state"


@pytest.fixture
def theirs(ordinary: Path) -> Path:
    """The state directory, of an ordinary user."""
    (ordinary / "state").mkdir()
    return ordinary / "state"


def memory_of(top: Path) -> Path:
    """sync's own directory for USER."""
    return top.with_name("state-sync") / USER


def look(top: Path, user: str = USER) -> Found:
    return user_state.look(frozen(stateDir=str(top)), people.owner(top), user)


def prepare(top: Path, found: Found, user: str = USER) -> State:
    return user_state.prepare(frozen(stateDir=str(top)), people.owner(top), user, found)


def opened(top: Path, user: str = USER) -> State:
    """Look, and make what is missing, as a launch does."""
    found = look(top, user)
    state = prepare(top, found, user)
    if found.nearest != state.home:
        os.close(found.nearest)
    return state


def existing(top: Path) -> State | None:
    return user_state.existing(frozen(stateDir=str(top)), people.owner(top), USER)


@pytest.fixture
def claimed(top: Path) -> Iterator[Path]:
    """A state directory in which somebody is resetting the state of USER."""
    user_state.release(opened(top))
    state = existing(top)
    assert state is not None and sync_directory.claim(state.memory)
    yield top
    user_state.release(state)


# -- looking


def test_of_a_state_that_does_not_exist_everything_is_to_be_made_and_nothing_is(top: Path) -> None:
    before = statuses(top)
    found = look(top)
    assert (found.home, found.memory, found.closed) == (None, None, False)
    assert found.make == (*_ALL, str(memory_of(top)))
    assert os.path.samestat(os.fstat(found.nearest), top.stat())
    assert not memory_of(top).parent.exists()
    assert statuses(top) == before


def test_of_a_state_that_exists_nothing_is_to_be_made(top: Path) -> None:
    user_state.release(opened(top))
    before = statuses(top)
    found = look(top)
    assert found.make == ()
    assert found.home is not None and found.memory is not None
    assert os.path.samestat(os.fstat(found.home), (top / "users" / USER).stat())
    assert os.path.samestat(os.fstat(found.memory), memory_of(top).stat())
    assert found.nearest == found.home
    assert statuses(top) == before


def test_what_is_missing_is_named(top: Path) -> None:
    user_state.release(opened(top))
    (top / "users" / USER / "projects").rmdir()
    (top / "users" / USER / ".npm-global/lib").rmdir()
    assert look(top).make == (f"users/{USER}/.npm-global/lib", f"users/{USER}/projects")


def test_a_home_that_another_launch_makes_meanwhile_is_not_taken_for_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is there when we look for the second time."""
    real, looked = user_state._usable, list[str]()

    def usable(top: int, path: str) -> int | None:
        looked.append(path)
        if path == f"users/{USER}" and looked.count(path) == 1:
            user_state.release(opened(tmp_path))
            return None
        return real(top, path)

    monkeypatch.setattr(user_state, "_usable", usable)
    found = look(tmp_path)
    assert found.home is not None and not found.closed


def test_a_home_that_is_closed_is_told_from_one_that_does_not_exist(theirs: Path) -> None:
    assert not look(theirs).closed
    user_state.release(opened(theirs))
    assert not look(theirs).closed
    (theirs / "users" / USER).chmod(0o500)
    found = look(theirs)
    assert found.closed and found.home is None


@pytest.mark.parametrize("mode", [0, 0o400, 0o500])
@pytest.mark.parametrize("closed", ["projects", ".pi", ".pi/agent/sessions", "."])
def test_a_closed_directory_is_to_be_made_and_stays_closed(theirs: Path, closed: str, mode: int) -> None:
    user_state.release(opened(theirs))
    path = theirs / "users" / USER / closed
    path.chmod(mode)
    found = look(theirs)
    assert (found.home is None) is (closed == ".")
    assert found.make == {"projects": _ALL[5:6], ".": _ALL[:6]}.get(closed, _ALL[1:2])
    assert mode_of(path) == mode


def test_looking_leaves_only_what_it_returns_open(top: Path) -> None:
    before = open_descriptors()
    found = look(top)
    assert len(open_descriptors()) == len(before) + 1
    user_state.close(found)
    user_state.release(opened(top))
    user_state.close(look(top))
    assert open_descriptors() == before
    found = look(top)
    assert len(open_descriptors()) == len(before) + 2
    user_state.release(prepare(top, found))
    assert open_descriptors() == before


# -- preparing


def test_the_tree_has_what_pi_and_npm_expect_and_is_private(top: Path) -> None:
    own = opened(top)
    tree = top / "users" / USER
    for name in _INSIDE:
        assert mode_of(tree / name) == 0o700
    assert os.path.samestat(os.fstat(own.home), tree.stat())
    assert os.path.samestat(os.fstat(own.memory), memory_of(top).stat())


def test_preparing_what_exists_changes_nothing(top: Path) -> None:
    user_state.release(opened(top))
    put(top / "users/alice/.pi/agent/sessions/one")
    before = statuses(top)
    found = look(top)
    assert prepare(top, found) == State(found.home or 0, found.memory or 0)
    assert statuses(top) == before


def test_two_launches_that_both_found_nothing_get_the_same_state(top: Path) -> None:
    first, second = look(top), look(top)
    one = prepare(top, first)
    put(top / "users" / USER / ".pi/agent/sessions/one")
    other = prepare(top, second)
    for left, right in ((one.home, other.home), (one.memory, other.memory)):
        assert os.path.samestat(os.fstat(left), os.fstat(right))
    assert (top / "users" / USER / ".pi/agent/sessions/one").exists()


def test_each_user_has_a_tree_and_a_memory_apart(top: Path) -> None:
    alice, bob = opened(top), opened(top, "bob")
    places = [os.fstat(number).st_ino for own in (alice, bob) for number in (own.home, own.memory)]
    assert len(set(places)) == 4
    assert not (top / "users/alice/sync").exists()


@pytest.mark.parametrize("planted", [".pi", ".pi/agent", ".npm", ".npm-global", "projects"])
@pytest.mark.parametrize("kind", ["link", "dangling", "file", "fifo"])
def test_what_the_agent_planted_in_place_of_a_directory_is_moved_aside(top: Path, planted: str, kind: str) -> None:
    outside = top / "outside"
    for name in (*_INSIDE, "agent/sessions", "sessions", "bin", "lib"):  # so that it would work if it were followed
        (outside / name).mkdir(parents=True)
    (top / "state").mkdir()
    path = top / "state/users/alice" / planted
    path.parent.mkdir(parents=True)
    if kind == "file":
        path.write_text("x")
    elif kind == "fifo":
        os.mkfifo(path)
    else:
        path.symlink_to(outside if kind == "link" else "/nonexistent")
    before, it = statuses(outside), path.lstat()
    opened(top / "state")
    assert statuses(outside) == before
    for name in _INSIDE:
        assert (top / "state/users/alice" / name).resolve() == top / "state/users/alice" / name
        assert (top / "state/users/alice" / name).is_dir()
    (kept,) = displaced(path.parent, path.name)
    assert os.path.samestat(kept.lstat(), it)


@pytest.mark.parametrize("mode", [0, 0o400, 0o500])
def test_directories_that_the_agent_closed_to_itself_are_opened_up(theirs: Path, mode: int) -> None:
    user_state.release(opened(theirs))
    tree = theirs / "users/alice"
    put(tree / ".pi/agent/sessions/one")
    for name in (".pi/agent/sessions", ".pi/agent", ".pi", "projects", "."):
        (tree / name).chmod(mode)
    own = opened(theirs)
    assert os.path.samestat(os.fstat(own.home), tree.stat())
    assert [mode_of(tree / name) for name in (".", ".pi", ".pi/agent", ".pi/agent/sessions", "projects")] == [0o700] * 5
    assert (tree / ".pi/agent/sessions/one").exists()
    assert look(theirs).make == ()


# -- refusals


@pytest.mark.parametrize("name", ["none", "file", "link"])
def test_a_missing_state_directory_is_refused(top: Path, name: str) -> None:
    (top / "file").write_text("")
    (top / "real").mkdir()
    (top / "link").symlink_to("real")
    with pytest.raises(Refusal) as caught:
        look(top / name)
    assert caught.value.status == EX_CONFIG
    assert f"{top}/{name}" in caught.value.what
    assert list((top / "real").iterdir()) == []


def test_a_state_directory_of_somebody_else_is_refused(theirs: Path) -> None:
    with pytest.raises(Refusal) as caught:
        look(Path("/usr"))
    assert caught.value.status == EX_CONFIG
    assert "does not belong to pi-agent" in caught.value.what


@needs_root
def test_a_state_directory_of_another_uid_is_refused_also_to_root(top: Path) -> None:
    os.chown(top, 4321, -1)
    for act in (look, lambda top: prepare(top, Found(None, None, -1, False, _ALL)), existing):
        with pytest.raises(Refusal) as caught:
            act(top)
        assert caught.value.status == EX_CONFIG
    assert list(top.iterdir()) == []


def test_a_state_directory_that_cannot_be_written_is_refused_only_when_it_is_written(theirs: Path) -> None:
    theirs.chmod(0o500)
    found = look(theirs)
    with pytest.raises(Refusal) as caught:
        prepare(theirs, found)
    assert caught.value.status == EX_UNAVAILABLE
    assert str(theirs) in caught.value.what


# -- launches and resets


def test_a_state_that_is_being_reset_is_refused(claimed: Path) -> None:
    before = open_descriptors()
    with pytest.raises(Refusal) as caught:
        look(claimed)
    assert caught.value.status == EX_UNAVAILABLE
    assert "reset" in caught.value.what
    assert len(open_descriptors()) <= len(before) + 1
    assert look(claimed, "bob").make, "it is nothing to another user"


def test_a_reset_that_begins_after_a_launch_found_nothing_refuses_it(top: Path) -> None:
    found = look(top)
    user_state.release(opened(top))  # another launch, which has ended
    state = existing(top)
    assert state is not None and sync_directory.claim(state.memory)
    with pytest.raises(Refusal) as caught:
        prepare(top, found)
    assert caught.value.status == EX_UNAVAILABLE
    user_state.release(state)
    user_state.release(opened(top))


@pytest.mark.parametrize("prepared", [False, True])
def test_nobody_can_claim_a_state_that_a_launch_has_and_anybody_afterwards(top: Path, prepared: bool) -> None:
    user_state.release(opened(top))
    found = look(top)
    launch = prepare(top, found) if prepared else State(found.home or 0, found.memory or 0)
    state = existing(top)
    assert state is not None
    assert not sync_directory.claim(state.memory)
    user_state.release(launch)
    assert sync_directory.claim(state.memory)


def test_many_launches_share_a_state(top: Path) -> None:
    launches = [opened(top) for _ in range(3)]
    state = existing(top)
    assert state is not None
    for launch in launches:
        assert not sync_directory.claim(state.memory)
        user_state.release(launch)
    assert sync_directory.claim(state.memory)


def test_a_user_without_a_state_has_none_and_gets_none_by_asking(top: Path) -> None:
    before = statuses(top)
    assert existing(top) is None
    assert statuses(top) == before


def test_a_forgotten_tree_is_gone_and_its_memory_is_where_launches_meet(top: Path) -> None:
    user_state.release(opened(top))
    memory = memory_of(top).stat()
    policy, owner = frozen(stateDir=str(top)), people.owner(top)
    put(top / "users" / USER / "left")
    with pytest.raises(Refusal):
        user_state.forget(policy, owner, USER)
    assert (top / "users" / USER / "left").exists(), "only an empty tree is forgotten"
    (top / "users" / USER / "left").unlink()
    for name in sorted((path for path in (top / "users" / USER).rglob("*")), reverse=True):
        name.rmdir()
    user_state.forget(policy, owner, USER)
    assert existing(top) is None
    assert os.path.samestat(memory_of(top).stat(), memory)


def test_the_lock_is_on_a_directory_that_no_agent_sees(top: Path) -> None:
    own = opened(top)
    held = os.open(top / "users" / USER, os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    user_state.release(own)
    user_state.release(opened(top))
    os.close(held)
