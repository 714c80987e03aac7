"""The covers of a project, planned over real directories.

checks/scenarios tests the mounting of the covers on the machine.
"""

from __future__ import annotations

import errno
import os
import shutil
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pi_agent.linux import beneath
from pi_agent.linux.identities import Identity
from pi_agent.messages import notices
from pi_agent.messages.refusal import EX_UNAVAILABLE, Refusal
from pi_agent.sandbox import covers, project_search, project_walk, protection
from pi_agent.sandbox.git_user import UserGit
from pi_agent.sandbox.protection import Cover, Kind, Means
from tests.support import people
from tests.support.limits import open_descriptors
from tests.support.people import needs_root
from tests.support.projects import TREES, ground, grown
from tests.support.trees import put, statuses

PIN, PROTECT, HIDE = Kind.PIN, Kind.PROTECT, Kind.HIDE


def planned(root: Path, *protected: str, at: str = "", hidden: tuple[str, ...] = ()) -> dict[str, Kind]:
    """The covers of a session that starts at a directory of root, by path. hidden: absolute patterns."""
    with ground(root) as there:
        plan = protection.plan(there, str(root / at), protected, hidden, UserGit("/"))
    found = plan.covers
    assert plan.notices == ()
    assert len({cover.path for cover in found}) == len(found)
    assert_parents_first(found)
    return {cover.path: cover.kind for cover in found}


def assert_parents_first(found: Sequence[Cover]) -> None:
    seen: set[str] = set()
    for cover in found:
        assert not any(path.startswith(f"{cover.path}/") for path in seen), found
        seen.add(cover.path)


# -- what is protected


def test_what_exists_is_protected_and_what_is_above_it_pinned(tmp_path: Path) -> None:
    put(tmp_path / ".git/hooks/pre-commit")
    put(tmp_path / ".git/config")
    assert planned(tmp_path, ".git/hooks", ".git/config", ".git/config.worktree", ".envrc") == {
        ".git": PIN,
        ".git/config": PROTECT,
        ".git/hooks": PROTECT,
    }


def test_a_project_with_nothing_to_protect_has_no_covers(tmp_path: Path) -> None:
    put(tmp_path / "src/main.py")
    assert planned(tmp_path, ".git/hooks", ".envrc", "*.code-workspace") == {}


def test_nothing_is_created_or_changed_by_planning(tmp_path: Path) -> None:
    put(tmp_path / ".git/config")
    put(tmp_path / "a/b/.envrc")
    before = statuses(tmp_path)
    planned(tmp_path, ".git/hooks", ".git/config", ".vscode", ".envrc", at="a/b")
    assert statuses(tmp_path) == before


def test_every_directory_from_the_root_to_the_session_is_looked_at(tmp_path: Path) -> None:
    for place in ("", "a/", "a/b/", "a/b/c/", "x/"):
        put(tmp_path / f"{place}.envrc")
    assert planned(tmp_path, ".envrc", at="a/b") == {".envrc": PROTECT, "a": PIN, "a/.envrc": PROTECT, "a/b": PIN} | {
        "a/b/.envrc": PROTECT
    }


def test_a_repository_nearby_is_protected_though_the_session_is_elsewhere(tmp_path: Path) -> None:
    put(tmp_path / "there/.git/config")
    put(tmp_path / "there/.envrc")
    put(tmp_path / "beside/.envrc")
    assert planned(tmp_path, ".git/config", ".envrc") == {
        "there/.envrc": PROTECT,
        "there/.git": PIN,
        "there/.git/config": PROTECT,
    }


def test_the_directory_of_a_repository_nearby_can_still_be_moved(tmp_path: Path) -> None:
    put(tmp_path / "group/there/.git/hooks/x")
    found = planned(tmp_path, ".git/hooks")
    assert "group" not in found
    assert "group/there" not in found
    # Unless the session is in it.
    found = planned(tmp_path, ".git/hooks", at="group/there")
    assert found["group"] == found["group/there"] == PIN


def test_a_project_with_more_to_protect_than_a_launch_can_wait_for_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(6):
        put(tmp_path / f"store/{number}/hooks/x")
    assert sum(kind is PROTECT for kind in planned(tmp_path, "store/*/hooks").values()) == 6
    # Six, the directories above each, and the one above all.
    for module, name, enough in ((covers, "COVERS_AT_MOST", 13), (project_search, "LOOKS_AT_MOST", 19)):
        with monkeypatch.context() as limited:
            limited.setattr(module, name, enough)
            assert len(planned(tmp_path, "store/*/hooks")) == 13
            limited.setattr(module, name, enough - 1)
            with pytest.raises(Refusal) as refused:
                planned(tmp_path, "store/*/hooks")
            assert refused.value.status == EX_UNAVAILABLE


@pytest.mark.parametrize("call", ["open", "stat", "fstat", "readlink", "scandir", "read", "opened"])
@pytest.mark.parametrize("number", [errno.EIO, errno.EMFILE])
def test_what_the_machine_fails_to_show_is_never_taken_for_absent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, number: int
) -> None:
    for name in (".git/hooks/x", "sub/.git/config", "secrets/a", "elsewhere/x", "store/HEAD", "hooks/x"):
        put(tmp_path / name)
    put(tmp_path / "sub/.git/config", "[core]\nhooksPath = ../hooks\n")
    put(tmp_path / "place/.git", "gitdir: ../store")
    put(tmp_path / "store/config", "[include]\npath = ../elsewhere/x\n")
    (tmp_path / ".envrc").symlink_to("nowhere")
    patterns, hidden = [".git/hooks", ".git/config", ".git/con*", ".envrc", ".idea"], [f"{tmp_path}/secrets"]
    module: Any = beneath if call == "opened" else os
    real = getattr(module, call)
    with ground(tmp_path) as there:

        def plan() -> list[Cover]:
            return [*protection.plan(there, str(tmp_path / "sub"), patterns, hidden, UserGit("/")).covers]

        whole, fails_at, calls, failed = plan(), 0, 1, 0

        def failing(*arguments: object, **options: object) -> object:
            nonlocal calls
            calls += 1
            if calls == fails_at:
                raise OSError(number, os.strerror(number))
            return real(*arguments, **options)

        assert {cover.path for cover in whole} >= {"hooks", "elsewhere/x", "store/config", "place/.git"}
        while calls >= fails_at:
            fails_at, calls = fails_at + 1, 0
            with monkeypatch.context() as patched:
                patched.setattr(module, call, failing)
                try:
                    assert plan() == whole
                except OSError as error:
                    assert error.errno == number
                    failed += 1
        assert failed


def test_what_is_hidden_counts_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(6):
        put(tmp_path / f"secrets/{number}")
    monkeypatch.setattr(covers, "COVERS_AT_MOST", 6)
    with pytest.raises(Refusal):
        planned(tmp_path, hidden=(f"{tmp_path}/secrets/*",))


def test_a_session_starts_no_deeper_than_so_many_levels(tmp_path: Path) -> None:
    deepest = "/".join("d" * protection.LEVELS_AT_MOST)
    put(tmp_path / deepest / ".envrc")
    above = deepest.rpartition("/")[0]
    assert planned(tmp_path, ".envrc", at=above) == {}
    with pytest.raises(Refusal) as refused:
        planned(tmp_path, ".envrc", at=deepest)
    assert str(protection.LEVELS_AT_MOST) in refused.value.what


def test_a_project_too_wide_to_find_its_repositories_is_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(5):
        put(tmp_path / f"{number}/.git/config")
    with ground(tmp_path) as there:
        for most in (11, 10):
            monkeypatch.setattr(project_walk, "_DIRECTORIES_AT_MOST", most)
            told = [notices.directories_unsearched(str(tmp_path), f"{number}/.git") for number in range(5) if most < 11]
            found = protection.plan(there, str(tmp_path), [".git/config"], [], UserGit("/"))
            assert len(found.covers) == 10
            assert [*found.notices] in ([each] for each in told) if told else found.notices == ()


# -- what is hidden


def test_secrets_below_the_root_are_hidden_and_those_elsewhere_concern_nobody(tmp_path: Path) -> None:
    root = tmp_path / "home"
    put(root / ".ssh/id")
    put(root / ".config/gcloud/key")
    put(tmp_path / "other/.ssh/id")
    hidden = (f"{root}/.ssh", f"{root}/.config/gcloud", f"{root}/.aws", f"{tmp_path}/other/.ssh", f"{tmp_path}/home2")
    assert planned(root, hidden=hidden) == {".config": PIN, ".config/gcloud": HIDE, ".ssh": HIDE}


def test_a_root_within_a_home_hides_what_of_the_home_lies_in_it(tmp_path: Path) -> None:
    put(tmp_path / ".config/gcloud/key")
    put(tmp_path / ".ssh/id")
    hidden = (f"{tmp_path}/.config/gcloud", f"{tmp_path}/.ssh")
    assert planned(tmp_path / ".config", hidden=hidden) == {"gcloud": HIDE}


def test_a_star_in_a_hidden_path_takes_every_name(tmp_path: Path) -> None:
    for name in ("a.kdbx", "b.kdbx", "c.txt"):
        put(tmp_path / "documents" / name)
    assert planned(tmp_path, hidden=(f"{tmp_path}/documents/*.kdbx",)) == {
        "documents": PIN,
        "documents/a.kdbx": HIDE,
        "documents/b.kdbx": HIDE,
    }


def test_hiding_wins_over_protecting_and_protecting_over_pinning(tmp_path: Path) -> None:
    put(tmp_path / ".pi/agent/auth.json")
    assert planned(tmp_path, ".pi", hidden=(f"{tmp_path}/.pi/agent/auth.json",)) == {
        ".pi": PROTECT,
        ".pi/agent": PIN,
        ".pi/agent/auth.json": HIDE,
    }
    assert planned(tmp_path, ".pi", hidden=(f"{tmp_path}/.pi",)) == {".pi": HIDE}


# -- links


def test_a_link_out_of_the_project_is_nothing_to_cover(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    put(tmp_path / "outside/hooks/x")
    (root / ".git").symlink_to(tmp_path / "outside")
    (root / ".envrc").symlink_to("../outside/hooks/x")
    (root / ".vscode").symlink_to("nowhere")
    (root / ".idea").symlink_to(".idea")
    found = planned(root, ".git/hooks", ".envrc", ".vscode", ".idea", hidden=(f"{root}/.git/hooks",))
    assert not any(path.startswith(("outside", "..")) or "/" in path for path in found)


def test_a_link_out_of_the_project_behind_a_link_within_is_covered_where_it_really_stands(tmp_path: Path) -> None:
    """Otherwise the agent could put a directory of hooks in its place."""
    root = tmp_path / "root"
    put(root / "store/git/config")
    put(tmp_path / "outside/hooks/x")
    (root / "store/git/hooks").symlink_to("../../../outside/hooks")
    (root / ".git").symlink_to("store/git")
    assert planned(root, ".git/hooks") == {
        ".git": Kind.LINK,
        "store": PIN,
        "store/git": PIN,
        "store/git/hooks": Kind.LINK,
    }


def test_what_links_within_the_project_lead_to_is_covered(tmp_path: Path) -> None:
    put(tmp_path / "store/git/hooks/x")
    (tmp_path / ".git").symlink_to("store/git")
    (tmp_path / ".envrc").symlink_to(tmp_path / "store/git/hooks/x")
    found = planned(tmp_path, ".git/hooks", ".envrc")
    covered = {os.path.realpath(tmp_path / path) for path, kind in found.items() if kind is PROTECT}
    assert {f"{tmp_path}/store/git/hooks", f"{tmp_path}/store/git/hooks/x"} <= covered


# -- whose eyes


@pytest.fixture
def open_directory() -> Iterator[Path]:
    """A directory that everybody can enter, owned by an ordinary user if possible."""
    with TemporaryDirectory(prefix="pi-agent-unit-", dir="/tmp") as name:
        os.chmod(name, 0o755)  # noqa: S103
        people.give_to_nobody(Path(name))
        yield Path(name)


def nobody(home: Path) -> Identity:
    """An ordinary user, for root to act as."""
    return Identity("nobody", 65534, 65534, (65534,), str(home))


@needs_root
def test_only_what_the_viewer_can_reach_is_looked_at(open_directory: Path) -> None:
    put(open_directory / "closed/.git/config")
    put(open_directory / "open/.git/config")
    (open_directory / "closed").chmod(0o700)
    with ground(open_directory, nobody(open_directory)) as there:
        found = protection.plan(there, there.root, [".git/config"], [], UserGit("/"))
    assert [cover.path for cover in found.covers] == ["open/.git", "open/.git/config"]
    assert os.geteuid() == 0


def test_a_directory_that_may_not_be_listed_is_no_reason_to_fail(ordinary: Path) -> None:
    put(ordinary / "shut/.git/config")
    put(ordinary / "searched/.git/config")
    (ordinary / "shut").chmod(0)
    (ordinary / "searched").chmod(0o111)
    (ordinary / "fifo").mkdir()
    os.mkfifo(ordinary / "fifo/.git")
    try:
        with ground(ordinary) as there:
            found = protection.plan(
                there, str(ordinary), [".git/config", ".envrc", "searched/.git/config"], [], UserGit("/")
            )
        # If a pattern names it, search permission is enough.
        assert {cover.path for cover in found.covers if cover.kind is PROTECT} == {"fifo/.git", "searched/.git/config"}
        assert found.notices in [
            (notices.directories_unsearched(str(ordinary), parts),) for parts in ("shut, searched", "searched, shut")
        ]
    finally:
        (ordinary / "shut").chmod(0o700)
        (ordinary / "searched").chmod(0o700)


def test_a_tree_that_changes_meanwhile_is_no_reason_to_fail(tmp_path: Path) -> None:
    root = tmp_path / "root"
    secret = tmp_path / "secret/.git"
    put(secret / "config")
    root.mkdir()
    done = threading.Event()

    def tear() -> None:
        while not done.is_set():
            put(root / "a/.git/config")
            (root / "a").rename(root / "b")
            (root / "a").symlink_to(tmp_path / "secret")
            (root / "a").unlink()
            shutil.rmtree(root / "b")

    thread = threading.Thread(target=tear)
    thread.start()
    try:
        for _ in range(200):
            planned(root, ".git/config", ".git/*", at="a")
    finally:
        done.set()
        thread.join()


def test_a_failed_change_of_identity_leaves_nothing_uncovered_in_silence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextmanager
    def refused(_: Identity) -> Iterator[None]:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))
        yield

    put(tmp_path / ".envrc")
    with ground(tmp_path) as there:
        planned_covers = protection.plan(there, str(tmp_path), [".envrc"], [], UserGit("/")).covers
        monkeypatch.setattr(protection, "acting_as", refused)
        with pytest.raises(PermissionError):
            protection.mount(there, planned_covers, Means(-1, -1, -1))


def test_planning_leaves_no_descriptor_open(tmp_path: Path) -> None:
    put(tmp_path / "a/.git/config")
    (tmp_path / "a/loop").symlink_to("loop")
    (tmp_path / "a/out").symlink_to("/etc")
    before = open_descriptors()
    planned(tmp_path, ".git/config", "loop/x", "out/passwd", "no", "a/*/x", at="a", hidden=(f"{tmp_path}/a/out/*",))
    assert open_descriptors() == before


# -- any project


@given(TREES, st.lists(st.sampled_from(["a", "b", "a/b", "*", "a/*", "*/c", "b/*/a"]), max_size=4))
def test_whatever_the_tree_a_plan_covers_only_what_exists_inside(tree: dict[str, str], patterns: list[str]) -> None:
    with TemporaryDirectory(dir="/tmp") as name:
        base = Path(os.path.realpath(name))
        top = base / "root"
        top.mkdir()
        put(base / "outside/a/b")
        grown(top, tree)
        found = planned(top, *patterns, hidden=tuple(f"{top}/{pattern}" for pattern in patterns))
        for path in found:
            assert (top / path).parent.resolve() == (top / path).parent, "the real path"
            assert (top / path).is_relative_to(top)
            assert os.path.lexists(top / path)
