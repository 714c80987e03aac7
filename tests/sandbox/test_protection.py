"""What is covered in a project, planned over real directories; and the walk that never leaves one.

Laying the covers is mounting: that is tried on the machine, in checks/scenarios.
"""

from __future__ import annotations

import errno
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pi_agent.linux import paths
from pi_agent.linux.identities import Identity
from pi_agent.messages import notices
from pi_agent.messages.refusal import EX_UNAVAILABLE, Refusal
from pi_agent.sandbox import project_search, protection
from pi_agent.sandbox.project_search import ProjectView
from pi_agent.sandbox.protection import Cover, Kind
from tests.support import people
from tests.support.people import needs_root
from tests.support.trees import put

PIN, PROTECT, HIDE = Kind.PIN, Kind.PROTECT, Kind.HIDE


@contextmanager
def ground(root: Path, viewer: Identity | None = None) -> Iterator[ProjectView]:
    """root as a staged project, looked at by ourselves or by viewer."""
    descriptor = os.open(root, os.O_PATH)
    try:
        yield ProjectView(descriptor, str(root), viewer if viewer is not None else people.agent(root))
    finally:
        os.close(descriptor)


def planned(root: Path, *protected: str, at: str = "", hidden: tuple[str, ...] = ()) -> dict[str, Kind]:
    """The covers of a session that starts at a directory of root, by path. hidden: absolute patterns."""
    with ground(root) as there:
        found = protection.plan(there, str(root / at), protected, hidden, pytest.fail)
    assert len({cover.path for cover in found}) == len(found)
    assert_parents_first(found)
    return {cover.path: cover.kind for cover in found}


def assert_parents_first(found: list[Cover]) -> None:
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

    def listed() -> list[tuple[str, int, int]]:
        found = [tmp_path, *tmp_path.rglob("*")]
        return sorted((str(path), path.lstat().st_mode, path.lstat().st_mtime_ns) for path in found)

    before = listed()
    planned(tmp_path, ".git/hooks", ".git/config", ".vscode", ".envrc", at="a/b")
    assert listed() == before


def test_a_star_stands_for_part_of_one_component(tmp_path: Path) -> None:
    for name in ("one", "two", ".dot", "three/deep"):
        put(tmp_path / f".git/modules/{name}/hooks/x")
    put(tmp_path / "checks.code-workspace")
    put(tmp_path / "code-workspace")
    assert planned(tmp_path, ".git/modules/*/hooks", "*.code-workspace") == {
        ".git": PIN,
        ".git/modules": PIN,
        ".git/modules/.dot": PIN,
        ".git/modules/.dot/hooks": PROTECT,
        ".git/modules/one": PIN,
        ".git/modules/one/hooks": PROTECT,
        ".git/modules/two": PIN,
        ".git/modules/two/hooks": PROTECT,
        "checks.code-workspace": PROTECT,
    }


def test_brackets_and_question_marks_without_a_star_are_letters(tmp_path: Path) -> None:
    put(tmp_path / "[ab]")
    put(tmp_path / "a")
    put(tmp_path / "what?")
    assert planned(tmp_path, "[ab]", "what?", "wha??") == {"[ab]": PROTECT, "what?": PROTECT}


def test_a_file_in_place_of_a_directory_is_what_is_protected(tmp_path: Path) -> None:
    """As the `.git` of a submodule or a worktree."""
    put(tmp_path / ".git", "gitdir: ../.git/modules/lib\n")
    assert planned(tmp_path, ".git/hooks", ".git/config", ".git/modules/*/hooks") == {".git": PROTECT}


def test_a_file_that_a_star_matched_is_no_directory_to_protect_below(tmp_path: Path) -> None:
    put(tmp_path / ".git/modules/README")
    assert ".git/modules/README" not in planned(tmp_path, ".git/modules/*/hooks")


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


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
def test_repositories_are_found_some_levels_down(tmp_path: Path, depth: int) -> None:
    place = "/".join("abcd"[:depth])
    put(tmp_path / place / ".git/config")
    assert f"{place}/.git/config" in planned(tmp_path, ".git/config")


@pytest.mark.parametrize("name", ["node_modules", "target", ".cache", "a/b/c/d/e/f"])
def test_repositories_are_not_looked_for_everywhere(tmp_path: Path, name: str) -> None:
    put(tmp_path / name / "x/.git/config")
    assert planned(tmp_path, ".git/config") == {}
    # A session in it protects it all the same.
    assert f"{name}/x/.git/config" in planned(tmp_path, ".git/config", at=f"{name}/x")


def test_a_project_with_more_to_protect_than_a_launch_can_wait_for_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(6):
        put(tmp_path / f".git/modules/{number}/hooks/x")
    assert sum(kind is PROTECT for kind in planned(tmp_path, ".git/modules/*/hooks").values()) == 6
    # Six, the directories above each, and the two above all.
    for module, name, enough in ((protection, "COVERS_AT_MOST", 14), (project_search, "LOOKS_AT_MOST", 20)):
        with monkeypatch.context() as limited:
            limited.setattr(module, name, enough)
            assert len(planned(tmp_path, ".git/modules/*/hooks")) == 14
            limited.setattr(module, name, enough - 1)
            with pytest.raises(Refusal) as refused:
                planned(tmp_path, ".git/modules/*/hooks")
            assert refused.value.status == EX_UNAVAILABLE
            # After a session no look ends in an error.
            with ground(tmp_path) as there:
                assert len(list(project_search.find(there, str(tmp_path), [".git/modules/*/hooks"]))) <= 6


@pytest.mark.parametrize("call", ["open", "stat", "fstat", "readlink", "scandir"])
@pytest.mark.parametrize("number", [errno.EIO, errno.EMFILE])
def test_what_the_machine_fails_to_show_is_never_taken_for_absent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, number: int
) -> None:
    for name in (".git/hooks/x", "sub/.git/config", "secrets/a", "elsewhere/x"):
        put(tmp_path / name)
    (tmp_path / ".envrc").symlink_to("nowhere")
    patterns, hidden, real = [".git/hooks", ".git/con*", ".envrc", ".idea"], [f"{tmp_path}/secrets"], getattr(os, call)
    with ground(tmp_path) as there:

        def plan() -> list[Cover]:
            return protection.plan(there, str(tmp_path / "sub"), patterns, hidden, pytest.fail)

        whole, fails_at, calls, failed = plan(), 0, 1, 0

        def failing(*arguments: object, **options: object) -> object:
            nonlocal calls
            calls += 1
            if calls == fails_at:
                raise OSError(number, os.strerror(number))
            return real(*arguments, **options)

        assert len(whole) >= 6
        while calls >= fails_at:
            fails_at, calls = fails_at + 1, 0
            with monkeypatch.context() as patched:
                patched.setattr(os, call, failing)
                try:
                    assert plan() == whole
                except OSError as error:
                    assert error.errno == number
                    failed += 1
        assert failed
        # After a session no look ends in an error.
        fails_at, calls = 2, 0
        monkeypatch.setattr(os, call, failing)
        assert {*project_search.find(there, str(tmp_path), patterns)} <= {".git/hooks", ".envrc", "sub/.git/config"}


def test_what_is_hidden_counts_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(6):
        put(tmp_path / f"secrets/{number}")
    monkeypatch.setattr(protection, "COVERS_AT_MOST", 6)
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


def test_hundreds_of_repositories_are_all_found(tmp_path: Path) -> None:
    for number in range(400):
        put(tmp_path / f"{number % 20}/{number}/.git/config")
    found = planned(tmp_path, ".git/config")
    assert sum(kind is PROTECT for kind in found.values()) == 400


def test_the_walk_for_repositories_ends_in_a_wide_tree(tmp_path: Path) -> None:
    for first, second in product(range(60), range(60)):
        (tmp_path / f"{first}/{second}").mkdir(parents=True)
    assert planned(tmp_path, ".git/config") == {}


def test_a_project_too_wide_to_find_its_repositories_is_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(5):
        put(tmp_path / f"{number}/.git/config")
    told: list[str] = []
    with ground(tmp_path) as there:
        for most, expected in ((6, []), (3, [notices.repositories_overlooked(str(tmp_path))])):
            monkeypatch.setattr(project_search, "_VISITED_AT_MOST", most)
            protection.plan(there, str(tmp_path), [".git/config"], [], told.append)
            assert told == expected


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
    """A directory that everybody can go to, of an ordinary user's if there is a choice."""
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
        found = protection.plan(there, there.root, [".git/config"], [], pytest.fail)
    assert [cover.path for cover in found] == ["open/.git", "open/.git/config"]
    assert os.geteuid() == 0


def test_a_directory_that_may_not_be_listed_is_no_reason_to_fail(ordinary: Path) -> None:
    put(ordinary / "shut/.git/config")
    put(ordinary / "searched/.git/config")
    (ordinary / "shut").chmod(0)
    (ordinary / "searched").chmod(0o111)
    (ordinary / "fifo").mkdir()
    os.mkfifo(ordinary / "fifo/.git")
    try:
        found = planned(ordinary, ".git/config", ".envrc")
        assert found == {"fifo/.git": PROTECT}
        # Where a pattern names it, searching is enough.
        assert "searched/.git/config" in planned(ordinary, "searched/.git/config")
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


def count_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_planning_leaves_no_descriptor_open(tmp_path: Path) -> None:
    put(tmp_path / "a/.git/config")
    (tmp_path / "a/loop").symlink_to("loop")
    (tmp_path / "a/out").symlink_to("/etc")
    before = count_descriptors()
    planned(tmp_path, ".git/config", "loop/x", "out/passwd", "no", "a/*/x", at="a", hidden=(f"{tmp_path}/a/out/*",))
    assert count_descriptors() == before


# -- paths.walk_inside


def walked(top: Path, path: str, named: str | None = None) -> str:
    """The real path that a walk inside top ends at. named: what top is called on the host."""
    descriptor = os.open(top, os.O_PATH)
    try:
        found = paths.walk_inside(descriptor, named or str(top), path)
    finally:
        os.close(descriptor)
    try:
        return paths.real_path(found)
    finally:
        os.close(found)


def test_a_walk_inside_ends_where_the_kernel_would(tmp_path: Path) -> None:
    put(tmp_path / "a/b/file")
    (tmp_path / "link").symlink_to("a/b")
    (tmp_path / "a/b/up").symlink_to("../../link/../b")
    (tmp_path / "absolute").symlink_to(f"{tmp_path}/link/file")
    (tmp_path / "itself").symlink_to(tmp_path)
    for name in ("a", "a/b/file", "link/file", "a/b/up/file", "absolute", "itself/link", "a/../a/./b//", "", "."):
        assert walked(tmp_path, name) == os.path.realpath(tmp_path / name), name


@pytest.mark.parametrize(
    "target", ["..", "../..", "/", "/etc", "a/../../root", "../root", "{top}/..", "{top}2", "{top}/a/../../root2"]
)
def test_no_link_leads_a_walk_inside_out(tmp_path: Path, target: str) -> None:
    top = tmp_path / "root"
    (top / "a").mkdir(parents=True)
    (tmp_path / "root2").mkdir()
    (top / "link").symlink_to(target.replace("{top}", str(top)))
    for path in ("link", "link/x", "a/../link"):
        with pytest.raises(OSError) as caught:
            walked(top, path)
        assert caught.value.errno == errno.EXDEV, path


def test_parents_above_the_top_are_refused_even_when_they_come_back(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    for path in ("..", "../root", "./..", "x/../.."):
        (tmp_path / "root/x").mkdir(exist_ok=True)
        with pytest.raises(OSError, match="cross-device"):
            walked(tmp_path / "root", path)


def test_an_absolute_link_counts_from_the_name_that_the_top_has_on_the_host(tmp_path: Path) -> None:
    put(tmp_path / "staged/a/file")
    (tmp_path / "staged/link").symlink_to("/home/alice/p/a/file")
    assert walked(tmp_path / "staged", "link", "/home/alice/p") == f"{tmp_path}/staged/a/file"
    with pytest.raises(OSError, match="cross-device"):
        walked(tmp_path / "staged", "link", "/home/alice/p2")


def test_loops_of_links_end(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to(f"{tmp_path}/a")
    (tmp_path / "deep").symlink_to("deep/deep")
    for path in ("a", "b/x", "deep"):
        with pytest.raises(OSError) as caught:
            walked(tmp_path, path)
        assert caught.value.errno == errno.ELOOP


def test_a_walk_inside_leaves_no_descriptor_open(tmp_path: Path) -> None:
    put(tmp_path / "a/b/file")
    (tmp_path / "out").symlink_to("/etc")
    (tmp_path / "in").symlink_to(tmp_path / "a")
    (tmp_path / "loop").symlink_to("loop")
    before = count_descriptors()
    for path in ("a/b/file", "in/b", "out", "loop", "no", "a/b/file/below", "..", "a/../in/b/.."):
        try:
            walked(tmp_path, path)
        except OSError:
            continue
    assert count_descriptors() == before


_NAMES = ("a", "b", "c")
_PARTS = st.sampled_from([*_NAMES, "..", ".", ""])
_TARGETS = st.one_of(
    st.lists(_PARTS, min_size=1, max_size=5).map("/".join),
    st.lists(_PARTS, min_size=0, max_size=4).map(lambda parts: "/".join(["{top}", *parts])),
    st.sampled_from(["/", "/etc", "{top}/..", "{top}x", "../outside", "../../outside/a"]),
)
# What is at each name of a tree: a directory, a file, or a link.
_TREES = st.dictionaries(
    st.lists(st.sampled_from(_NAMES), min_size=1, max_size=3).map("/".join),
    st.one_of(st.just("directory"), st.just("file"), _TARGETS.map(lambda target: f"link {target}")),
    max_size=9,
)


def grown(top: Path, tree: dict[str, str]) -> None:
    """Make the tree below top, as far as its parts fit together."""
    for path, what in sorted(tree.items()):
        where = top / path
        try:
            # Never through a link that was made before.
            if os.path.realpath(where.parent) != str(where.parent) and where.parent != top:
                continue
            where.parent.mkdir(parents=True, exist_ok=True)
            if what == "directory":
                where.mkdir(exist_ok=True)
            elif what == "file":
                where.touch(exist_ok=False)
            else:
                where.symlink_to(what.removeprefix("link ").replace("{top}", str(top)) or ".")
        except OSError:
            continue


@given(_TREES, st.lists(_PARTS, max_size=6).map("/".join))
def test_whatever_the_tree_a_walk_inside_stays_inside_and_agrees_with_the_kernel(
    tree: dict[str, str], path: str
) -> None:
    with TemporaryDirectory(dir="/tmp") as name:
        base = Path(os.path.realpath(name))
        top = base / "root"
        top.mkdir()
        put(base / "outside/a")
        put(base / "rootx/a")
        grown(top, tree)
        before = count_descriptors()
        try:
            found = walked(top, path)
        except OSError as error:
            assert error.errno in (errno.EXDEV, errno.ELOOP, errno.ENOENT, errno.ENOTDIR)
        else:
            assert paths.contains(str(top), found)
            assert found == os.path.realpath(top / path)
        assert count_descriptors() == before


@given(_TREES, st.lists(st.sampled_from(["a", "b", "a/b", "*", "a/*", "*/c", "b/*/a"]), max_size=4))
def test_whatever_the_tree_a_plan_covers_only_what_exists_inside(tree: dict[str, str], patterns: list[str]) -> None:
    with TemporaryDirectory(dir="/tmp") as name:
        base = Path(os.path.realpath(name))
        top = base / "root"
        top.mkdir()
        put(base / "outside/a/b")
        grown(top, tree)
        found = planned(top, *patterns, hidden=tuple(f"{top}/{pattern}" for pattern in patterns))
        for path in found:
            assert paths.contains(str(top), walked(top, path) if not (top / path).is_symlink() else str(top / path))


def test_links_that_are_swapped_meanwhile_never_lead_out(tmp_path: Path) -> None:
    top = tmp_path / "root"
    put(top / "a/inner/file", "inside")
    put(tmp_path / "outside/inner/file", "secret")
    done = threading.Event()

    def swap() -> None:
        while not done.is_set():
            (top / "a").rename(top / "kept")
            (top / "a").symlink_to(tmp_path / "outside")
            (top / "a").unlink()
            (top / "a").symlink_to("../outside")
            (top / "a").unlink()
            (top / "kept").rename(top / "a")
            # And a directory moved out under the walker's feet: its parent is then another.
            (top / "a/inner").rename(tmp_path / "moved")
            (tmp_path / "moved").rename(top / "a/inner")
            done.wait(0.0005)  # long enough for some walks to arrive

    thread = threading.Thread(target=swap)
    thread.start()
    descriptor = os.open(top, os.O_PATH)
    succeeded = 0
    try:
        for path in [
            "a/inner/file",
            "a/inner/../inner/file",
            "a/../a/inner/file",
            "a/inner/../../../outside/inner/file",
        ]:
            for _ in range(500):
                try:
                    found = paths.walk_inside(descriptor, str(top), path)
                except OSError:
                    continue
                try:
                    reading = paths.reopen(found, os.O_RDONLY)
                    assert os.read(reading, 10) == b"inside"
                    os.close(reading)
                    succeeded += 1
                finally:
                    os.close(found)
    finally:
        done.set()
        thread.join()
        os.close(descriptor)
    assert succeeded > 0
