"""The description of running sessions: whose they are, and what they are."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pi_agent.messages.refusal import EX_UNAVAILABLE, Refusal
from pi_agent.session import running_sessions, session_names
from pi_agent.session.session_names import Session
from tests.support.people import needs_root

Make = Callable[..., Session]


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """Makes sessions: of which uid, with which id, running or dead, with which description."""
    top = tmp_path / "staging"
    top.mkdir(mode=0o700)
    monkeypatch.setattr(session_names, "STAGING", str(top))
    held: list[int] = []

    def made(uid: int, number: str, about: bytes | None, *, alive: bool = True) -> Session:
        name = f"pi-agent-alice-{number}"
        directory = top / str(uid) / name
        (top / str(uid)).mkdir(mode=0o700, exist_ok=True)
        directory.mkdir()
        own = Session(f"{name}.service", str(directory))
        Path(own.lock).touch()
        if about is not None:
            Path(own.about).write_bytes(about)
        if alive:
            held.append(os.open(own.lock, os.O_RDWR))
            fcntl.flock(held[-1], fcntl.LOCK_EX)
        return own

    yield made
    for descriptor in held:
        os.close(descriptor)


ABOUT = running_sessions.describe(1_700_000_000.9, "/home/alice/p", "/home/alice/p/demo")
ID = "0a1b2c3d4e5f6071"


@needs_root
def test_a_live_session_says_what_it_is(make: Make) -> None:
    own = make(1000, ID, ABOUT)
    assert running_sessions.of_user(1000) == [
        running_sessions.RunningSession(own, "0a1b2c3d", 1_700_000_000, "/home/alice/p", "/home/alice/p/demo")
    ]


@needs_root
def test_paths_may_hold_any_bytes(make: Make) -> None:
    root, directory = "/p\n\udcff\x1b", "/p\n\udcff\x1b/q"
    make(1000, ID, running_sessions.describe(1, root, directory))
    [found] = running_sessions.of_user(1000)
    assert (found.root, found.directory) == (root, directory)


@needs_root
def test_without_a_project_there_is_no_root(make: Make) -> None:
    make(1000, ID, running_sessions.describe(1, None, "/var/lib/pi-agent"))
    assert [each.root for each in running_sessions.of_user(1000)] == [None]


@needs_root
def test_only_the_live_ones_of_that_user_are_given_and_the_oldest_first(make: Make) -> None:
    make(1000, "b" * 16, running_sessions.describe(20, "/b", "/b"))
    make(1000, "a" * 16, running_sessions.describe(30, "/a", "/a"))
    make(1000, "d" * 16, running_sessions.describe(10, "/d", "/d"), alive=False)
    make(1001, "c" * 16, running_sessions.describe(10, "/c", "/c"))
    assert [each.root for each in running_sessions.of_user(1000)] == ["/b", "/a"]
    assert [each.root for each in running_sessions.of_user(1001)] == ["/c"]
    assert running_sessions.of_user(1002) == []


@needs_root
@pytest.mark.parametrize("about", [None, b"", b"x\0/a\0/b", b"1\0/a", b"1\0/a\0/b\0/c"])
def test_one_that_is_just_being_made_is_there_with_nothing_known(make: Make, about: bytes | None) -> None:
    make(1000, ID, about)
    [found] = running_sessions.of_user(1000)
    assert (found.id, found.since, found.root, found.directory) == ("0a1b2c3d", None, None, None)


@needs_root
def test_looking_takes_nothing_from_whoever_makes_or_sweeps(make: Make) -> None:
    own = make(1000, ID, ABOUT, alive=False)
    assert not running_sessions.is_running(own)
    lock = os.open(own.lock, os.O_RDWR)
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    assert running_sessions.is_running(own)
    os.close(lock)
    os.unlink(own.lock)
    assert not running_sessions.is_running(own)


@needs_root
def test_a_place_that_others_can_enter_is_not_believed(make: Make) -> None:
    own = make(1000, ID, ABOUT)
    Path(own.directory).parent.chmod(0o750)
    with pytest.raises(Refusal) as caught:
        running_sessions.of_user(1000)
    assert caught.value.status == EX_UNAVAILABLE
