"""sync's own directory: beside the state directory, and root's."""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import pytest

from pi_agent.linux.identities import Identity
from pi_agent.messages.refusal import EX_CONFIG, EX_UNAVAILABLE, Refusal
from pi_agent.policy.policy_file import Policy
from pi_agent.state import sync_directory
from tests.support import people, trust
from tests.support.limits import open_descriptors
from tests.support.people import needs_root
from tests.support.policies import USER, frozen
from tests.support.trees import mode_of, put, snapshot, statuses

_MEMORY: Final = "memory.json"


class Place:
    """A state directory, and sync's directories beside it."""

    def __init__(self, top: Path, owner: Identity | None = None) -> None:
        self.state = top / "state"
        self.state.mkdir()
        self.policy: Policy = frozen(stateDir=str(self.state))
        self.owner = people.owner(self.state) if owner is None else owner
        self.all = top / "state-sync"
        self.own = self.all / USER
        self.earlier = self.state / "sync" / USER

    def look(self) -> int | None:
        """Open alice's directory."""
        return sync_directory.look(self.policy, USER)

    def ensure(self, user: str = USER) -> int:
        """Open a user's directory, or make it."""
        return sync_directory.ensure(self.policy, self.owner, user)

    def make(self, user: str = USER) -> None:
        """Make a user's directory."""
        os.close(self.ensure(user))

    def remember_earlier(self, user: str = USER) -> None:
        """What an earlier version left."""
        put(self.state / "sync" / user / _MEMORY, f"what {user} had")
        put(self.state / "sync" / user / "lock", "")


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def refused(act: Callable[[], object], status: int) -> str:
    """What the refusal says. Nothing stays open."""
    before = open_descriptors()
    with pytest.raises(Refusal) as caught:
        act()
    assert caught.value.status == status
    assert open_descriptors() == before
    return caught.value.what


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


# -- from the earlier place


def test_what_an_earlier_version_remembered_moves_here_and_nothing_else_of_it(place: Place) -> None:
    place.remember_earlier()
    put(place.earlier / "planted/x", "x")
    place.make()
    assert snapshot(place.own) == {_MEMORY: b"what alice had"}
    assert mode_of(place.own / _MEMORY) == 0o600
    assert not place.earlier.parent.exists()
    assert os.listdir(place.all) == [USER]


def test_another_users_memory_stays_until_that_users_next_launch(place: Place) -> None:
    place.remember_earlier()
    place.remember_earlier("bob")
    place.make()
    assert snapshot(place.state / "sync") == {"bob": None, f"bob/{_MEMORY}": b"what bob had", "bob/lock": b""}
    place.make("bob")
    assert (place.all / "bob" / _MEMORY).read_text() == "what bob had"
    assert not (place.state / "sync").exists()


def test_looking_moves_nothing(place: Place) -> None:
    place.remember_earlier()
    before = snapshot(place.state.parent)
    assert place.look() is None
    assert snapshot(place.state.parent) == before


def test_what_exists_here_is_not_replaced_by_what_an_earlier_version_left(place: Place) -> None:
    place.make()
    put(place.own / _MEMORY, "newer")
    place.remember_earlier()
    place.make()
    assert (place.own / _MEMORY).read_text() == "newer"


def _secret(place: Place) -> Path:
    secret = place.state.parent / "secret"
    put(secret / _MEMORY, "secret")
    return secret


def _link(place: Place) -> None:
    (place.earlier / _MEMORY).symlink_to(_secret(place) / _MEMORY)


def _directory(place: Place) -> None:
    put(place.earlier / _MEMORY / "x", "secret")


def _socket(place: Place) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        directory = os.open(place.earlier, os.O_RDONLY)
        made.bind(f"/proc/self/fd/{directory}/{_MEMORY}")  # the path of a socket must be short
        os.close(directory)


def _links_above(place: Place) -> None:
    place.earlier.rmdir()
    place.earlier.symlink_to(_secret(place))


def _links_further_above(place: Place) -> None:
    place.earlier.rmdir()
    place.earlier.parent.rmdir()
    _secret(place).rename(place.state.parent / USER)
    place.earlier.parent.symlink_to(place.state.parent)


def _file_above(place: Place) -> None:
    place.earlier.rmdir()
    put(place.earlier, "secret")


def _file_further_above(place: Place) -> None:
    place.earlier.rmdir()
    place.earlier.parent.rmdir()
    put(place.earlier.parent, "secret")


_PLANTED: Final[dict[str, Callable[[Place], None]]] = {
    "a link": _link,
    "a pipe": lambda place: os.mkfifo(place.earlier / _MEMORY),
    "a socket": _socket,
    "a directory": _directory,
    "too large": lambda place: put(place.earlier / _MEMORY, "x" * 101),
    "nothing": lambda place: None,
    "in a link": _links_above,
    "below a link": _links_further_above,
    "in a file": _file_above,
    "below a file": _file_further_above,
}


@pytest.mark.parametrize("planted", list(_PLANTED))
def test_an_earlier_memory_that_is_none_is_not_followed_and_keeps_nobody_from_a_launch(
    place: Place, planted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sync_directory, "_EARLIER_AT_MOST", 100)
    place.earlier.mkdir(parents=True)
    _PLANTED[planted](place)
    secrets = {path: path.read_text() for path in place.state.parent.glob(f"*/{_MEMORY}")}
    place.make()
    assert snapshot(place.own) == {}
    assert {path: path.read_text() for path in secrets} == secrets


@pytest.mark.parametrize("closed", [".", _MEMORY, ".."])
def test_an_earlier_memory_that_is_closed_to_its_owner_keeps_nobody_from_a_launch(ordinary: Path, closed: str) -> None:
    place = Place(ordinary)
    place.remember_earlier()
    (place.earlier / closed).chmod(0)
    place.make()
    assert not place.earlier.exists()


def test_without_a_state_directory_there_is_nothing_to_move(place: Place) -> None:
    place.state.rmdir()
    place.make()
    assert snapshot(place.own) == {}


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
    assert snapshot(place.all) == {USER: None, f"{USER}/{_MEMORY}": b"what alice had"}


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
    assert (place.earlier / _MEMORY).exists()
    put(place.all / left / "more", "x")
    place.make()
    assert snapshot(place.all) == {USER: None, f"{USER}/{_MEMORY}": b"what alice had"}
    assert not place.earlier.exists()


# -- what is not a directory of root's


@pytest.mark.parametrize("kind", ["link", "dangling", "file", "fifo"])
@pytest.mark.parametrize("act", [Place.look, Place.ensure])
def test_what_stands_in_its_place_is_neither_followed_nor_removed(
    place: Place, kind: str, act: Callable[[Place], object]
) -> None:
    place.all.mkdir()
    outside = _secret(place)
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
    """A place that only root can change, as it is judged; the state in it belongs to somebody else."""
    trust.judge_directories(monkeypatch)
    with TemporaryDirectory(prefix="pi-agent-unit-", dir="/run") as name:
        made = Place(Path(name), Identity("pi-agent", 65534, 65534, (65534,), f"{name}/state"))
        made.state.parent.chmod(0o755)
        os.chown(made.state, 65534, 65534)
        yield made


@needs_root
def test_what_the_owner_of_the_state_remembered_becomes_roots(roots: Place) -> None:
    roots.remember_earlier()
    for path in (roots.earlier.parent, roots.earlier, *roots.earlier.iterdir()):
        os.chown(path, 65534, 65534)
    roots.make()
    assert {(path.stat().st_uid, path.stat().st_gid) for path in (roots.all, *roots.all.rglob("*"))} == {(0, 0)}
    assert (roots.own / _MEMORY).read_text() == "what alice had"
    assert not roots.earlier.parent.exists()


@needs_root
def test_what_the_owner_of_the_state_cannot_read_is_not_read(roots: Place) -> None:
    """It may have moved something of root's there."""
    roots.remember_earlier()
    os.chown(roots.earlier.parent, 65534, 65534)
    os.chown(roots.earlier, 65534, 65534)
    (roots.earlier / _MEMORY).chmod(0o600)
    roots.make()
    assert snapshot(roots.own) == {}


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
