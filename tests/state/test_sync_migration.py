"""What an earlier version kept in the state directory moves to root's place, and nothing else of it."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest

from pi_agent.state import sync_directory
from tests.support import sync_places
from tests.support.people import needs_root
from tests.support.policies import USER
from tests.support.sync_places import MEMORY, Place, secret
from tests.support.trees import mode_of, put, snapshot


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.fixture
def roots(monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    with sync_places.of_root(monkeypatch) as made:
        yield made


def test_what_an_earlier_version_remembered_moves_here_and_nothing_else_of_it(place: Place) -> None:
    place.remember_earlier()
    put(place.earlier / "planted/x", "x")
    place.make()
    assert snapshot(place.own) == {MEMORY: b"what alice had"}
    assert mode_of(place.own / MEMORY) == 0o600
    assert not place.earlier.parent.exists()
    assert os.listdir(place.all) == [USER]


def test_another_users_memory_stays_until_that_users_next_launch(place: Place) -> None:
    place.remember_earlier()
    place.remember_earlier("bob")
    place.make()
    assert snapshot(place.state / "sync") == {"bob": None, f"bob/{MEMORY}": b"what bob had", "bob/lock": b""}
    place.make("bob")
    assert (place.all / "bob" / MEMORY).read_text() == "what bob had"
    assert not (place.state / "sync").exists()


def test_looking_moves_nothing(place: Place) -> None:
    place.remember_earlier()
    before = snapshot(place.state.parent)
    assert place.look() is None
    assert snapshot(place.state.parent) == before


def test_what_exists_here_is_not_replaced_by_what_an_earlier_version_left(place: Place) -> None:
    place.make()
    put(place.own / MEMORY, "newer")
    place.remember_earlier()
    place.make()
    assert (place.own / MEMORY).read_text() == "newer"


def _link(place: Place) -> None:
    (place.earlier / MEMORY).symlink_to(secret(place) / MEMORY)


def _directory(place: Place) -> None:
    put(place.earlier / MEMORY / "x", "secret")


def _socket(place: Place) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        directory = os.open(place.earlier, os.O_RDONLY)
        made.bind(f"/proc/self/fd/{directory}/{MEMORY}")  # the path of a socket must be short
        os.close(directory)


def _links_above(place: Place) -> None:
    place.earlier.rmdir()
    place.earlier.symlink_to(secret(place))


def _links_further_above(place: Place) -> None:
    place.earlier.rmdir()
    place.earlier.parent.rmdir()
    secret(place).rename(place.state.parent / USER)
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
    "a pipe": lambda place: os.mkfifo(place.earlier / MEMORY),
    "a socket": _socket,
    "a directory": _directory,
    "too large": lambda place: put(place.earlier / MEMORY, "x" * 101),
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
    secrets = {path: path.read_text() for path in place.state.parent.glob(f"*/{MEMORY}")}
    place.make()
    assert snapshot(place.own) == {}
    assert {path: path.read_text() for path in secrets} == secrets


@pytest.mark.parametrize("closed", [".", MEMORY, ".."])
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


@needs_root
def test_what_the_owner_of_the_state_remembered_becomes_roots(roots: Place) -> None:
    roots.remember_earlier()
    for path in (roots.earlier.parent, roots.earlier, *roots.earlier.iterdir()):
        os.chown(path, 65534, 65534)
    roots.make()
    assert {(path.stat().st_uid, path.stat().st_gid) for path in (roots.all, *roots.all.rglob("*"))} == {(0, 0)}
    assert (roots.own / MEMORY).read_text() == "what alice had"
    assert not roots.earlier.parent.exists()


@needs_root
def test_what_the_owner_of_the_state_cannot_read_is_not_read(roots: Place) -> None:
    """It may have moved something of root's there."""
    roots.remember_earlier()
    os.chown(roots.earlier.parent, 65534, 65534)
    os.chown(roots.earlier, 65534, 65534)
    (roots.earlier / MEMORY).chmod(0o600)
    roots.make()
    assert snapshot(roots.own) == {}
