"""`--sandbox-reset`: what it removes, what stays, who is asked, and the lock that keeps sessions out."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from pi_agent.cli.commands import reset
from pi_agent.linux import removal
from pi_agent.messages import command_output
from pi_agent.messages.refusal import EX_UNAVAILABLE, EX_USAGE, Refusal
from pi_agent.session import running_sessions, session_directory, session_names
from pi_agent.state import scans, sync_directory, user_state
from tests.support import people
from tests.support.bench import Bench, bench
from tests.support.calls import call_of
from tests.support.policies import USER
from tests.support.trees import Nest, put, snapshot

CACHES = (".cache", ".npm", ".npm-global", ".pi/agent/npm", ".pi/agent/git", ".pi/agent/bin")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """A bench after its launch, with something in every place."""
    monkeypatch.setattr(session_names, "STAGING", str(tmp_path / "staging"))
    monkeypatch.setattr(session_directory, "sweep", lambda tools, uid: None)
    made = bench(tmp_path)
    made.sync()
    for name in (*CACHES, "own", ".pi/agent/sessions", ".pi-agent-removing-0"):
        put(made.tree / name / "deep/file")
    user_state.release(made.state)  # its launch has ended
    yield made


def done(here: Bench, *words: str) -> int:
    return reset.run(call_of(here, "--sandbox-reset", *words))


def refused(here: Bench, *words: str) -> Refusal:
    with pytest.raises(Refusal) as caught:
        done(here, *words)
    return caught.value


def test_caches_and_what_a_killed_reset_left_go_and_all_else_stays(
    here: Bench, capfd: pytest.CaptureFixture[str]
) -> None:
    gone = (*CACHES, ".pi-agent-removing-0")
    kept = {name: each for name, each in snapshot(here.tree).items() if not name.startswith(gone)}
    assert done(here, "--yes") == 0
    assert snapshot(here.tree) == kept
    assert here.memory.exists()
    said = capfd.readouterr().out
    assert all(f"~/{name}\n" in said for name in gone) and "own" not in said and said.count(" KiB") == len(gone) + 1


def test_everything_goes_and_a_launch_makes_it_anew(here: Bench, tmp_path: Path) -> None:
    assert done(here, "--all", "--yes") == 0
    assert not here.tree.exists()
    assert os.listdir(here.memory.parent) == []
    again = bench(tmp_path)
    again.sync()
    assert (again.isolated / "sessions").is_dir() and again.memory.exists()


@pytest.mark.parametrize("words", [[], ["--all"]])
def test_who_has_nothing_is_told_so_and_gets_nothing(
    here: Bench, capfd: pytest.CaptureFixture[str], words: list[str]
) -> None:
    done(here, "--all", "--yes")
    capfd.readouterr()
    assert done(here, "--yes", *words) == 0
    assert capfd.readouterr().out == f"{command_output.NOTHING_TO_REMOVE}\n"
    assert not here.tree.exists()


@pytest.mark.parametrize("words", [[], ["--all"]])
def test_without_a_terminal_only_a_yes_will_do(here: Bench, words: list[str]) -> None:
    before = snapshot(here.tree)
    assert refused(here, *words).status == EX_USAGE
    assert snapshot(here.tree) == before


@pytest.mark.parametrize(
    ("answer", "agreed"),
    [
        (b"y\n", True),
        (b"Y\n", True),
        (b" yes \n", True),
        (b"", False),
        (b"\n", False),
        (b"n\n", False),
        (b"yy\n", False),
    ],
)
def test_at_a_terminal_the_answer_counts(
    here: Bench, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], answer: bytes, agreed: bool
) -> None:
    read = os.read
    monkeypatch.setattr(os, "isatty", lambda descriptor: True)
    monkeypatch.setattr(os, "read", lambda number, size: answer if number == 0 else read(number, size))
    assert done(here, "--all") == 0
    assert here.tree.exists() is not agreed
    said = capfd.readouterr()
    assert said.err.endswith(command_output.confirm_removal("pi"))
    assert (command_output.NOTHING_REMOVED in said.out) is not agreed


# -- nobody else has the state


def test_under_a_session_nothing_goes(here: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running_sessions, "of_user", lambda uid: [])
    running = bench(tmp_path)
    before = snapshot(here.tree)
    refusal = refused(here, "--all", "--yes")
    assert refusal.status == EX_UNAVAILABLE and "--sandbox-stop" in refusal.remedy
    assert snapshot(here.tree) == before
    user_state.release(running.state)
    assert done(here, "--all", "--yes") == 0


def test_a_lock_is_held_by_every_process_of_a_launch_until_the_last_has_ended(here: Bench, tmp_path: Path) -> None:
    running = bench(tmp_path)
    listen, tell = os.pipe()
    child = os.fork()
    if child == 0:  # the guard
        os.close(tell)
        os.read(listen, 1)
        os._exit(0)
    user_state.release(running.state)
    own = user_state.existing(here.policy, here.owner, USER)
    assert own is not None and not sync_directory.claim(own.memory)
    os.close(tell)
    os.waitpid(child, 0)
    assert sync_directory.claim(own.memory)


def test_what_is_claimed_no_launch_gets_and_another_user_is_not_concerned(here: Bench, tmp_path: Path) -> None:
    own = user_state.existing(here.policy, here.owner, USER)
    assert own is not None and sync_directory.claim(own.memory)
    with pytest.raises(Refusal) as caught:
        bench(tmp_path)
    assert caught.value.status == EX_UNAVAILABLE and "being reset" in caught.value.what
    bobs = user_state.look(here.policy, here.owner, "bob")
    user_state.release(user_state.prepare(here.policy, here.owner, "bob", bobs))
    user_state.release(own)
    bench(tmp_path)


def test_what_dead_runners_left_is_ended_first(here: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    swept: list[int] = []

    def sweep(tools: object, uid: int) -> None:
        assert (here.tree / "own").exists()
        swept.append(uid)

    monkeypatch.setattr(session_directory, "sweep", sweep)
    done(here, "--all", "--yes")
    assert swept == [here.caller.uid]


# -- what an agent may have left


def test_links_lead_nowhere_and_no_permission_keeps_us_out(here: Bench, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    put(precious / "file")
    os.rename(here.tree / ".npm", here.tree / "away")
    (here.tree / ".npm").symlink_to(precious)
    (here.tree / ".cache/link").symlink_to(precious)
    os.mkfifo(here.tree / ".cache/pipe")
    (here.tree / ".cache/deep").chmod(0)
    (here.tree / ".cache").chmod(0)
    os.rename(here.isolated / "npm", here.tree / "npm")
    (here.isolated / "npm").symlink_to("/")
    assert done(here, "--yes") == 0
    assert not any(os.path.lexists(here.tree / name) for name in CACHES)
    assert done(here, "--all", "--yes") == 0
    assert snapshot(precious) == {"file": b"x"}


def test_a_link_on_the_way_is_none(here: Bench, tmp_path: Path) -> None:
    put(tmp_path / "precious/npm/file")
    os.rename(here.isolated, here.tree / "away")
    here.isolated.symlink_to(tmp_path / "precious")
    assert done(here, "--yes") == 0
    assert (tmp_path / "precious/npm/file").exists()


def test_a_tree_without_end_is_not_counted_to_its_end_and_goes(
    here: Bench, nest: Nest, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(scans, "ENTRIES_AT_MOST", 10)
    nest(here.tree / ".cache", ["d" * 100] * 2000)
    for number in range(20):
        put(here.tree / f".npm/{number}")
    with open(here.tree / "own/sparse", "wb") as file:
        file.truncate(1024**4)
    assert done(here, "--all", "--yes") == 0
    said = capfd.readouterr().out
    assert command_output.at_least("") in said and "TiB" not in said
    assert not here.tree.exists()


def test_names_in_the_list_are_harmless_and_bounded(here: Bench, capfd: pytest.CaptureFixture[str]) -> None:
    for number in range(60):
        put(here.tree / f"\x1b[2J\n{number}")
    assert done(here, "--all", "--yes") == 0
    said = capfd.readouterr().out
    assert "\x1b" not in said and "more\n" in said
    assert len(said.splitlines()) == reset._SHOWN_AT_MOST + 3


def test_what_cannot_be_removed_is_told(here: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(directory: int, name: str) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(removal, "remove", failing)
    refusal = refused(here, "--yes")
    assert refusal.status == EX_UNAVAILABLE and "Permission denied" in refusal.what


@people.needs_root
def test_sweeping_ends_what_nobody_takes_care_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(session_names, "STAGING", str(tmp_path / "staging"))
    ended: list[str] = []
    monkeypatch.setattr(session_directory, "sweep_one", lambda tools, own: ended.append(own.unit))
    (tmp_path / "staging").mkdir(mode=0o700)
    (tmp_path / "staging/7").mkdir(mode=0o700)
    (tmp_path / "staging/7/pi-agent-alice-0").mkdir()
    session_directory.sweep(None, 7)  # type: ignore[arg-type]
    session_directory.sweep(None, 8)  # type: ignore[arg-type]
    assert ended == ["pi-agent-alice-0.service"]
