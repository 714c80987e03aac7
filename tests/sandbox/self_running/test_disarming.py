from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from pi_agent.linux import renaming
from pi_agent.messages import self_running_texts as texts
from pi_agent.sandbox.self_running import disarming, look
from pi_agent.sandbox.self_running.disarming import Outcome
from tests.support import people
from tests.support.left_behind import Left, git
from tests.support.trees import mode_of, put, snapshot


@pytest.fixture
def left(tmp_path: Path) -> Left:
    return Left(tmp_path)


def disarmed(left: Left, act: Callable[[], object], meanwhile: Callable[[], object] = lambda: None) -> list[Outcome]:
    """What becomes of all that a session has left. meanwhile: runs between the look and the disarming."""
    before = left.before()
    act()
    found = left.after(before)
    assert found is not None
    meanwhile()
    with look.ground_of(left.caller, left.project) as ground:
        outcomes = [disarming.disarm(ground, left.policy.tools, item) for item in found.items]
    again = left.after(before)
    still = set() if again is None else {item.path for item in again.items}
    assert still == {each.item.path for each in outcomes if each.kept is None and each.why}
    return outcomes


def test_a_whole_file_is_renamed_and_loses_nothing(left: Left) -> None:
    git(left.root, "init", "-q")

    def session() -> None:
        put(left.root / ".git/hooks/pre-commit", "evil")
        (left.root / ".git/hooks/pre-commit").chmod(0o755)
        (left.root / ".envrc").symlink_to("/elsewhere")
        os.mkfifo(left.root / ".vimrc")

    outcomes = disarmed(left, session)
    assert [each.item.path for each in outcomes] == [".git/hooks/pre-commit", ".envrc", ".vimrc"]
    for outcome in outcomes:
        assert outcome.kept is not None and outcome.kept.startswith(f"{outcome.item.path}.disarmed-")
        assert not os.path.lexists(left.root / outcome.item.path)
    kept = left.root / (outcomes[0].kept or "")
    assert kept.read_text() == "evil" and mode_of(kept) == 0o755
    assert os.readlink(left.root / (outcomes[1].kept or "")) == "/elsewhere"


def test_from_a_configuration_what_runs_is_removed_and_a_copy_is_kept(left: Left) -> None:
    git(left.root, "init", "-q")
    git(left.root, "config", "core.pager", "mine")
    config = left.root / ".git/config"
    config.chmod(0o640)

    def session() -> None:
        git(left.root, "config", "core.fsmonitor", "./evil")
        git(left.root, "config", "core.pager", "theirs")
        git(left.root, "config", "user.name", 'A "quoted" \\ name')

    [outcome] = disarmed(left, session)
    assert outcome.kept is not None and "fsmonitor" in (left.root / outcome.kept).read_text()
    text = config.read_text()
    assert "fsmonitor" not in text and "pager" not in text and mode_of(config) == 0o640
    git(left.root, "config", "--get", "core.repositoryformatversion")
    git(left.root, "config", "--fixed-value", "--get", "user.name", 'A "quoted" \\ name')
    git(left.root, "status")


def test_a_configuration_that_git_cannot_read_is_renamed_whole(left: Left) -> None:
    [outcome] = disarmed(left, lambda: put(left.root / ".git/config", "[alias\n"))
    assert outcome.kept is not None and not (left.root / ".git/config").exists()


def test_a_file_behind_a_link_to_a_directory_is_renamed_where_it_lies(left: Left) -> None:
    put(left.root / "editor/settings.json")
    (left.root / ".vscode").symlink_to("editor")
    [outcome] = disarmed(left, lambda: put(left.root / "editor/tasks.json"))
    assert outcome.kept is not None and outcome.kept.startswith("editor/tasks.json.disarmed-")


@people.needs_root
@pytest.mark.parametrize("mode", [0o311, 0o000])
def test_a_closed_directory_is_opened_by_its_owner(tmp_path: Path, mode: int) -> None:
    root = tmp_path / "root"
    root.mkdir()
    left = Left(root)
    left.caller = people.nobody(root)

    def session() -> None:
        put(root / ".vscode/tasks.json")
        for path in (root / ".vscode/tasks.json", root / ".vscode"):
            people.give_to_nobody(path)
        (root / ".vscode").chmod(mode)

    [outcome] = disarmed(left, session)
    assert outcome.kept is not None
    assert (root / outcome.kept).lstat().st_uid == left.caller.uid


@people.needs_root
def test_what_is_not_the_users_to_rename_is_told(tmp_path: Path) -> None:
    left = Left(tmp_path)
    left.caller = people.nobody(tmp_path)
    [outcome] = disarmed(left, lambda: put(tmp_path / ".envrc"))
    assert (outcome.kept, outcome.why) == (None, "Operation not permitted")


def test_a_name_is_never_overwritten(left: Left, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time_ns", lambda: 1234567890123456789)
    taken = left.root / ".envrc.disarmed-1234567890123456789"
    put(taken, "precious")
    [outcome] = disarmed(left, lambda: put(left.root / ".envrc"))
    assert (outcome.kept, outcome.why) == (None, "File exists")
    assert taken.read_text() == "precious" and (left.root / ".envrc").exists()


def test_a_file_system_that_cannot_promise_that_is_told(left: Left, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(*_: object) -> None:
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr(renaming, "rename", refuses)
    [outcome] = disarmed(left, lambda: put(left.root / ".envrc"))
    assert (outcome.kept, outcome.why) == (None, "Invalid argument")


def test_something_else_in_its_place_is_put_back_and_told(left: Left) -> None:
    def swap() -> None:
        put(left.root / "other", "the user's own, a moment ago")
        (left.root / "other").rename(left.root / ".envrc")

    [outcome] = disarmed(left, lambda: put(left.root / ".envrc"), swap)
    assert (outcome.kept, outcome.why) == (None, texts.KEEPS_CHANGING)
    assert (left.root / ".envrc").read_text() == "the user's own, a moment ago"


def test_a_directory_that_was_swapped_for_a_link_is_not_followed(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    root.mkdir()
    put(outside / "tasks.json", "not the session's")
    left = Left(root)

    def swap() -> None:
        (root / ".vscode").rename(root / "moved")
        (root / ".vscode").symlink_to(outside)

    before = left.before()
    put(root / ".vscode/tasks.json")
    found = left.after(before)
    assert found is not None
    swap()
    was = snapshot(outside)
    with look.ground_of(left.caller, left.project) as ground:
        [outcome] = [disarming.disarm(ground, left.policy.tools, item) for item in found.items]
    assert outcome.kept is None and outcome.why == "Not a directory"
    assert snapshot(outside) == was


def test_what_is_gone_needs_no_word(left: Left) -> None:
    [outcome] = disarmed(left, lambda: put(left.root / ".envrc"), lambda: (left.root / ".envrc").unlink())
    assert (outcome.kept, outcome.why) == (None, "")


def test_a_directory_that_is_loaded_whole_is_told(left: Left) -> None:
    [outcome] = disarmed(left, lambda: put(left.root / ".mise/tasks/build"))
    assert (outcome.kept, outcome.why) == (None, texts.LOADED_WHOLE)


def test_a_file_that_somebody_keeps_writing_is_disarmed_or_told_and_never_lost(left: Left) -> None:
    """Another session of the user's replaces it in a loop. Every content that was ever there is still somewhere."""
    stop = threading.Event()
    made: list[str] = []

    def writes() -> None:
        while not stop.is_set() and len(made) < 2000:
            name = f"new-{len(made)}"
            put(left.root / name, name)
            made.append(name)
            try:
                os.link(left.root / name, left.root / ".envrc")
            except FileExistsError:
                continue

    before = left.before()
    put(left.root / ".envrc", "first")
    found = left.after(before)
    assert found is not None
    writer = threading.Thread(target=writes)
    writer.start()
    with look.ground_of(left.caller, left.project) as ground:
        outcome = disarming.disarm(ground, left.policy.tools, found.items[0])
    stop.set()
    writer.join()
    assert outcome.kept is not None or outcome.why == texts.KEEPS_CHANGING
    contents = {path.read_text() for path in left.root.iterdir()}
    assert {"first", *made} <= contents
