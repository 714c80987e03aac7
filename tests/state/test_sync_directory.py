"""sync's own directory: beside the state directory, and root's."""

from __future__ import annotations

import fcntl
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pi_agent.messages.refusal import EX_CONFIG, EX_UNAVAILABLE
from pi_agent.state import sync_directory
from tests.support import sync_places, trust
from tests.support.limits import open_descriptors
from tests.support.people import needs_root
from tests.support.policies import USER
from tests.support.sync_places import MEMORY, Place, refused, secret
from tests.support.trees import mode_of, put, snapshot, statuses


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


# -- looking and making


def test_it_stands_beside_the_state_directory(place: Place) -> None:
    assert sync_directory.path(place.policy) == str(place.all)
    assert sync_directory.path(place.policy, USER) == str(place.own)


@pytest.mark.parametrize("there", ["nothing", "all", "another"])
def test_looking_for_what_does_not_exist_makes_nothing(place: Place, there: str) -> None:
    if there == "all":
        place.all.mkdir()
    elif there == "another":
        place.make("bob")
    before, held = snapshot(place.state.parent), open_descriptors()
    assert place.look() is None
    assert snapshot(place.state.parent) == before
    assert open_descriptors() == held


def test_what_was_made_is_private_and_found_again(place: Place) -> None:
    held = open_descriptors()
    made = place.ensure()
    assert [mode_of(path) for path in (place.all, place.own)] == [0o700, 0o700]
    assert os.path.samestat(os.fstat(made), place.own.stat())
    before = statuses(place.all)
    for again in (place.look(), place.ensure()):
        assert again is not None and os.path.samestat(os.fstat(again), os.fstat(made))
        assert not os.get_inheritable(again)
        os.close(again)
    assert statuses(place.all) == before
    os.close(made)
    assert open_descriptors() == held


def test_each_user_has_one(place: Place) -> None:
    place.make()
    place.make("bob")
    assert sorted(os.listdir(place.all)) == ["alice", "bob"]


# -- launches and resets


def test_nobody_can_claim_what_a_launch_shares_and_no_launch_gets_what_is_claimed(place: Place) -> None:
    launches = [place.ensure(), place.ensure(), place.look()]
    reset = os.open(place.own, os.O_RDONLY)
    for launch in launches:
        assert launch is not None and not sync_directory.claim(reset)
        os.close(launch)
    assert sync_directory.claim(reset)
    for act in (place.look, place.ensure):
        assert "being reset" in refused(act, EX_UNAVAILABLE)
    os.close(reset)
    place.make()


def test_another_user_is_not_concerned(place: Place) -> None:
    claimed = place.ensure("bob")
    assert sync_directory.claim(claimed)
    place.make()
    os.close(claimed)


# -- at once, and killed


def test_two_first_launches_at_once_get_the_same_directory_and_one_moves_the_memory(place: Place) -> None:
    place.remember_earlier()
    place.all.mkdir()
    gate = os.open(place.all, os.O_RDONLY)
    assert sync_directory.claim(gate)
    listen, tell = os.pipe()
    launches = [in_a_child(lambda: os.write(tell, b"%d " % os.fstat(place.ensure()).st_ino)) for _ in range(2)]
    os.close(tell)
    await_waiting(place.all.stat().st_ino, len(launches))
    fcntl.flock(gate, fcntl.LOCK_UN)  # the children hold it as well
    assert [os.waitpid(launch, 0)[1] for launch in launches] == [0, 0]
    with open(listen, "rb") as said:
        assert {*said.read().split()} == {b"%d" % place.own.stat().st_ino}
    assert snapshot(place.all) == {USER: None, f"{USER}/{MEMORY}": b"what alice had"}


def in_a_child(act: Callable[[], object]) -> int:
    """Run act in a child, whose ID is returned. It ends with 0 if act does."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            act()
            status = 0
        finally:
            os._exit(status)
    return child


def await_waiting(inode: int, count: int) -> None:
    """Wait until so many processes wait for a lock on the inode (proc_locks(5)), but not for ever."""
    until = time.monotonic() + 20
    while time.monotonic() < until:
        lines = Path("/proc/locks").read_text().splitlines()
        if len([line for line in lines if "->" in line and f":{inode} " in line]) == count:
            return
        os.sched_yield()
    raise AssertionError("they never waited")


@pytest.mark.parametrize("step", ["rename", "mkdir"])
def test_a_kill_before_it_is_complete_loses_nothing_and_the_next_launch_cleans_up(place: Place, step: str) -> None:
    place.remember_earlier()
    place.all.mkdir()
    real = getattr(os, step)

    def killed(*names: str, **options: int) -> None:
        if step == "mkdir":
            real(*names, **options)
        if step == "mkdir" or names[1] == USER:  # not when the memory is written
            os.kill(os.getpid(), signal.SIGKILL)
        real(*names, **options)

    def act() -> None:
        setattr(os, step, killed)
        place.make()

    _, status = os.waitpid(in_a_child(act), 0)
    assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL
    [left] = os.listdir(place.all)
    assert left != USER and place.look() is None
    assert (place.earlier / MEMORY).exists()
    put(place.all / left / "more", "x")
    place.make()
    assert snapshot(place.all) == {USER: None, f"{USER}/{MEMORY}": b"what alice had"}
    assert not place.earlier.exists()


# -- what is not a directory of root's


@pytest.mark.parametrize("kind", ["link", "dangling", "file", "fifo"])
@pytest.mark.parametrize("act", [Place.look, Place.ensure])
def test_what_stands_in_its_place_is_neither_followed_nor_removed(
    place: Place, kind: str, act: Callable[[Place], object]
) -> None:
    place.all.mkdir()
    outside = secret(place)
    if kind == "file":
        put(place.own)
    elif kind == "fifo":
        os.mkfifo(place.own)
    else:
        place.own.symlink_to(outside if kind == "link" else "/nonexistent")
    before = statuses(place.state.parent)
    assert str(place.own) in refused(lambda: act(place), EX_UNAVAILABLE)
    assert statuses(place.state.parent) == before


@pytest.mark.parametrize("act", [Place.look, Place.ensure])
def test_a_file_in_place_of_all_of_them_is_refused(place: Place, act: Callable[[Place], object]) -> None:
    put(place.all)
    assert str(place.all) in refused(lambda: act(place), EX_UNAVAILABLE)


@pytest.fixture
def roots(monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    with sync_places.of_root(monkeypatch) as made:
        yield made


def _writable(path: Path) -> None:
    path.chmod(0o777)


def _sticky(path: Path) -> None:
    path.chmod(0o1777)


def _of_a_group(path: Path) -> None:
    os.chown(path, 0, 4321)
    path.chmod(0o775)


def _of_somebody(path: Path) -> None:
    os.chown(path, 4321, 0)


@needs_root
@pytest.mark.parametrize("opened", [_writable, _sticky, _of_a_group, _of_somebody])
@pytest.mark.parametrize("where", ["it", "above"])
def test_where_others_could_change_it_a_launch_is_refused(
    roots: Place, where: str, opened: Callable[[Path], None]
) -> None:
    roots.make()
    found = roots.look()
    assert found is not None
    os.close(found)
    place = roots.all if where == "it" else roots.all.parent
    opened(place)
    before = snapshot(roots.all)
    for act in (roots.look, roots.ensure):
        said = refused(act, EX_CONFIG)
        assert str(place) in said and str(roots.own) not in said
    assert snapshot(roots.all) == before


@needs_root
def test_where_others_could_make_it_none_is_made(roots: Place) -> None:
    roots.all.parent.chmod(0o777)
    for act in (roots.look, roots.ensure):
        assert str(roots.all.parent) in refused(act, EX_CONFIG)
    assert not roots.all.exists()


@needs_root
def test_below_a_directory_for_everybody_it_is_refused(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    trust.judge_directories(monkeypatch)
    assert "/tmp" in refused(place.ensure, EX_CONFIG)
