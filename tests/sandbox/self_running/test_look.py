"""What a session left that runs by itself is told, and nothing else; also of what was not recorded in time."""

from __future__ import annotations

import os
from pathlib import Path

import orjson
import pytest

from pi_agent.sandbox.self_running import comparison, look, seeing
from pi_agent.sandbox.self_running.report import Report
from tests.support.left_behind import Left, git
from tests.support.trees import await_tick, put


def test_what_is_new_or_changed_is_told_and_nothing_else(left: Left) -> None:
    root = left.root
    for name in (".git/hooks/kept", ".git/hooks/changed", ".git/hooks/touched", ".git/hooks/removed", ".envrc"):
        put(root / name)

    def session() -> None:
        await_tick(root / ".envrc")  # the last file that was made
        put(root / ".git/hooks/changed", "y")
        before = (root / ".envrc").stat()
        put(root / ".envrc", "z")
        os.utime(root / ".envrc", ns=(before.st_atime_ns, before.st_mtime_ns))  # with the same size and time
        (root / ".git/hooks/touched").chmod(0o755)
        (root / ".git/hooks/removed").unlink()
        put(root / ".vscode/a/tasks.json")
        put(root / ".own/place")
        put(root / "src/main.py")

    told = left.news(session)
    assert list(told) == [".git/hooks/changed", ".git/hooks/touched", ".envrc", ".vscode/a/tasks.json", ".own/place"]
    assert left.news(lambda: None) == {}


@pytest.mark.parametrize("place", ["", "vendor/dep", "node_modules/x", ".hidden/a/b", "a/b/c/d/e/f/g/h", "target/.x"])
def test_a_repository_is_seen_wherever_it_is_made_and_only_what_it_runs_is_news(left: Left, place: str) -> None:
    where = left.root / place
    assert left.news(lambda: git(where, "init", "-q")) == {}, "a new repository"
    git(where, "init", "-q")
    path = str((where / ".git/config").relative_to(left.root))
    settings = ("core.fsmonitor", "./x"), ("filter.q.clean", "y"), ("user.name", "A"), ("alias.st", "!evil")

    def session() -> None:
        for setting in settings:
            git(where, "config", *setting)

    assert left.news(session) == {path: ("core.fsmonitor", "filter.q.clean", "alias.st")}
    assert left.news(lambda: git(where, "config", "core.editor", "z")) == {path: ("core.editor",)}, "the others are old"
    assert left.news(lambda: git(where, "config", "core.fsmonitor", "./z")) == {path: ("core.fsmonitor",)}
    assert left.news(lambda: git(where, "config", "--unset", "core.fsmonitor")) == {}


def test_a_bare_repository_is_found_by_what_is_in_it(left: Left) -> None:
    def session() -> None:
        put(left.root / "src/HEAD", "ref: refs/heads/main\n")
        put(left.root / "src/config", "[core]\nrepositoryformatversion = 0\nbare = false\nfsmonitor = ./x\n")
        (left.root / "src/objects").mkdir()
        (left.root / "src/refs").mkdir()
        put(left.root / "src/hooks/pre-commit")
        put(left.root / "other/config", "[core]\nfsmonitor = ./x\n")

    assert left.news(session) == {"src/config": ("core.fsmonitor",), "src/hooks/pre-commit": ()}


def test_worktrees_and_submodules_made_inside_are_no_news_until_something_runs_there(left: Left) -> None:
    root = left.root
    git(root / "main", "init", "-q")
    git(root / "main", "commit", "-q", "--allow-empty", "-m", "one")
    git(root / "main", "config", "core.fsmonitor", "./mine")

    def session() -> None:
        git(root / "main", "worktree", "add", "-q", str(root / "tree"))
        git(root / "main", "submodule", "add", "-q", str(root / "main"), "sub/a/b")

    assert left.news(session) == {}
    put(root / "evil/config", "[core]\nfsmonitor = ./x\n")
    (root / "evil/objects").mkdir()
    (root / "evil/refs").mkdir()
    put(root / "main/.git/modules/sub/a/b/commondir", "../../../../../../evil\n")
    assert left.news(lambda: None) == {}, "nothing was changed in this session"
    (root / "main/.git/modules/sub/a/b/commondir").unlink()
    told = left.news(lambda: put(root / "main/.git/modules/sub/a/b/commondir", "../../../../../../evil\n"))
    [(path, (what,))] = told.items()
    assert path == "main/.git/modules/sub/a/b/commondir"
    assert "evil" in what and "core.fsmonitor" in what


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        (".git", "gitdir: /elsewhere/evil.git\n", True),
        (".git", "gitdir: ../../evil.git\n", True),
        (".git", "gitdir: nowhere/yet.git\n", False),
        (".git", "no pointer\n", False),
        ("sub/.git", "gitdir: ../plain.git\n", False),
        ("sub/.git", "gitdir: ../armed.git\n", True),
        ("sub/.git", "gitdir: ../hooked.git\n", True),
    ],
)
def test_a_file_that_leads_git_elsewhere_is_news_if_something_runs_there_or_if_nobody_sees_it(
    left: Left, name: str, content: str, told: bool
) -> None:
    for each in ("plain", "armed", "hooked"):
        git(left.root / f"{each}.git", "init", "-q", "--bare")
    git(left.root / "armed.git", "config", "core.sshCommand", "x")
    put(left.root / "hooked.git/hooks/post-checkout")
    assert list(left.news(lambda: put(left.root / name, content))) == ([name] if told else [])


def test_a_git_directory_that_is_moved_into_place_is_news(left: Left) -> None:
    git(left.root / "armed.git", "init", "-q", "--bare")
    git(left.root / "armed.git", "config", "core.sshCommand", "x")
    assert left.news(lambda: (left.root / "armed.git").rename(left.root / ".git")) == {
        ".git/config": ("core.sshcommand",)
    }


def test_a_link_within_the_project_is_told_by_what_it_leads_to(left: Left) -> None:
    root = left.root
    put(root / "scripts/envrc")
    (root / ".envrc").symlink_to("scripts/envrc")
    (root / ".vscode").symlink_to(root / "editor")
    put(root / "editor/settings.json")

    def session() -> None:
        put(root / "scripts/envrc", "longer")
        put(root / "editor/tasks.json")

    items = left.items(session)
    assert [(item.path, item.real) for item in items] == [
        (".envrc", "scripts/envrc"),
        (".vscode/tasks.json", "editor/tasks.json"),
    ]


@pytest.mark.parametrize("target", ["/proc/self/cwd/evil.sh", "/home/alice/other/evil.sh", "../../../elsewhere/evil"])
@pytest.mark.parametrize("name", [".git/hooks/post-checkout", ".envrc"])
def test_a_new_link_out_of_the_root_is_told(left: Left, name: str, target: str) -> None:
    """Git runs a hook in the work tree: there, /proc/self/cwd/evil.sh is a file of the project."""
    put(left.root / "evil.sh")
    put(left.root / ".git/hooks/kept")
    [(path, (what,))] = left.news(lambda: (left.root / name).symlink_to(target)).items()
    assert path == name and "outside" in what


@pytest.mark.parametrize("way", ["{outside}", "../outside", "/proc/self/root{outside}"])
def test_nothing_outside_of_the_root_is_looked_at(tmp_path: Path, way: str) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    put(outside / "secret")
    (root / ".git").mkdir(parents=True)
    for name in (".vscode", ".git/hooks"):
        target = way.format(outside=outside) if way.startswith(("/", "{")) else "../" * name.count("/") + way
        (root / name).symlink_to(target)
        assert (root / name / "secret").exists()
    assert Left(root).news(lambda: put(outside / "secret", "changed")) == {}


def test_loops_of_links_end(left: Left) -> None:
    (left.root / ".vscode").mkdir()
    (left.root / ".vscode/up").symlink_to("..")
    (left.root / ".vscode/self").symlink_to("self")
    (left.root / "a").mkdir()
    (left.root / "a/b").symlink_to("../c")
    (left.root / "c").mkdir()
    (left.root / "c/a").symlink_to("../a")
    (left.root / ".idea").symlink_to("a")
    assert list(left.news(lambda: put(left.root / "c/evil.xml"))) == [".idea/b/evil.xml"]


_PARTS = [
    ({"scripts": {"test": "x"}}, {"scripts": {"test": "x"}, "version": "2"}, False),
    ({"scripts": {"test": "x", "lint": "y"}}, {"scripts": {"lint": "y", "test": "x"}}, False),
    ({"scripts": {"test": "x"}}, {"scripts": {"test": "y"}}, True),
    ({"scripts": {}}, {"scripts": {"postinstall": "y"}}, True),
    ({}, {"scripts": {"postinstall": "y"}}, True),
    ({}, {"lint-staged": {"*": "evil"}}, True),
    (None, {"scripts": {"postinstall": "y"}}, True),
    (None, {"name": "x"}, False),
    ({"scripts": {"test": "x"}}, {}, False),
    ({"scripts": {"test": "x"}}, [], False),
]


@pytest.mark.parametrize(("before", "after", "told"), _PARTS)
def test_of_a_package_only_what_runs_is_news(left: Left, before: object, after: object, told: bool) -> None:
    file = left.root / "package.json"
    if before is not None:
        file.write_bytes(orjson.dumps(before))
    assert list(left.news(lambda: file.write_bytes(orjson.dumps(after)))) == (["package.json"] if told else [])


_RUN_BY_NPM = [
    b'\xef\xbb\xbf{"scripts": {"postinstall": "evil"}}',
    b'{"scripts": {"postinstall": "evil"}, "description": "\xff"}',
    b'{"scripts": {"postinstall": "evil"}, "description": "\\ud800"}',
    b'{"scripts": {"postinstall": "evil"}}' + b" " * (1 << 19),
]


@pytest.mark.parametrize("content", _RUN_BY_NPM, ids=["byte order mark", "not UTF-8", "lone surrogate", "large"])
def test_a_package_that_we_cannot_read_but_npm_can_is_told(left: Left, content: bytes) -> None:
    assert list(left.news(lambda: (left.root / "package.json").write_bytes(content))) == ["package.json"]


def test_gits_samples_are_no_news(left: Left) -> None:
    def session() -> None:
        put(left.root / ".git/hooks/pre-commit.sample")
        put(left.root / ".git/hooks/pre-commit")

    assert list(left.news(session)) == [".git/hooks/pre-commit"]


def test_a_flake_is_news_where_direnv_uses_it(left: Left) -> None:
    put(left.root / "a/.envrc", "use flake\n")
    put(left.root / "b/.envrc", "PATH_add bin\n")

    def session() -> None:
        for place in ("a", "b", "c"):
            put(left.root / place / "flake.nix")

    assert list(left.news(session)) == ["a/flake.nix"]


# -- what was not reached in time when the session began


def test_what_was_not_recorded_is_judged_by_its_times(left: Left, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(look, "_RECORDED_AT_MOST", 0)
    monkeypatch.setattr(look, "_GRANULARITY", 0)
    put(left.root / "old/.envrc")
    put(left.root / "moved/.vscode/x")
    put(left.root / "changed/.envrc")
    git(left.root / "repository", "init", "-q")
    git(left.root / "repository", "config", "core.fsmonitor", "./x")
    await_tick(left.root / "repository/.git/config")

    def session() -> None:
        await_tick(left.root / "repository/.git/config")
        put(left.root / "new/.envrc")
        put(left.root / "changed/.envrc", "y")
        (left.root / "there").mkdir()
        (left.root / "moved/.vscode").rename(left.root / "there/.vscode")

    assert sorted(left.news(session)) == ["changed/.envrc", "new/.envrc", "there/.vscode/x"]


def test_without_any_record_everything_recent_is_told(left: Left) -> None:
    """As after a failure of the machine."""
    import marshal

    from pi_agent.sandbox.self_running.record import unlisted
    from pi_agent.sandbox.self_running.rules import DEFAULT

    put(left.root / ".envrc")
    assert left.after(marshal.dumps((0, unlisted(DEFAULT), {}))) != Report((), ())


@pytest.mark.parametrize(
    ("setting", "value", "made", "what"),
    [
        ("core.fsmonitor", "./tools/watch.sh", "tools/watch.sh", "core.fsmonitor names it"),
        ("core.hooksPath", "hooks.d", "hooks.d/pre-commit", "core.hookspath names it"),
        ("include.path", "../more", "more", "core.pager"),
    ],
)
def test_what_the_users_own_settings_name_is_news_once_it_is_made(
    left: Left, setting: str, value: str, made: str, what: str
) -> None:
    git(left.root, "init", "-q")
    git(left.root, "config", setting, value)
    put(left.root / made, "[core]\n")
    assert left.news(lambda: None) == {}
    assert left.news(lambda: put(left.root / made, "[core]\npager = x\n")) == {made: (what,)}
    (left.root / made).unlink()
    assert left.news(lambda: put(left.root / made, "[core]\npager = x\n")) == {made: (what,)}


@pytest.mark.parametrize("name", [".ＧＩＴ", ".g\u200cit", ".gıt"])
def test_a_name_that_a_file_system_takes_for_gits_is_one(left: Left, name: str) -> None:
    assert [*left.news(lambda: put(left.root / name, "gitdir: /elsewhere"))] == [name]


def test_what_settings_name_that_were_not_recorded_is_judged_by_its_times(
    left: Left, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(look, "_RECORDED_AT_MOST", 0)
    monkeypatch.setattr(look, "_GRANULARITY", 0)
    git(left.root / "a", "init", "-q")
    git(left.root / "a", "config", "core.fsmonitor", "./tools/watch.sh")
    put(left.root / "a/tools/old")
    await_tick(left.root / "a/tools/old")
    assert left.news(lambda: await_tick(left.root / "a/tools/old")) == {}
    assert left.news(lambda: put(left.root / "a/tools/watch.sh")) == {"a/tools/watch.sh": ("core.fsmonitor names it",)}


def test_of_more_armed_configurations_than_are_looked_at_the_times_tell(
    left: Left, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(look, "_ARMED_AT_MOST", 1)
    monkeypatch.setattr(look, "_GRANULARITY", 0)
    for name in ("a", "b"):
        git(left.root / name, "init", "-q")
        git(left.root / name, "config", "core.fsmonitor", "./watch.sh")

    def session() -> None:
        for name in ("a", "b"):
            put(left.root / name / "watch.sh")

    assert sorted(left.news(session)) == ["a/watch.sh", "b/watch.sh"]


def test_many_files_of_one_kind_leave_room_for_another(left: Left, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparison, "_CHANGES_AT_MOST", 10)

    def session() -> None:
        for number in range(20):
            put(left.root / f".vscode/{number}")
        put(left.root / "zzz/.git/config", "[core]\nfsmonitor = ./x\n")

    found = left.report(session)
    assert "zzz/.git/config" in {item.path for item in found.items} and len(found.items) == 11
    assert len(found.unseen) == 10


def test_a_directory_of_too_many_names_is_said(left: Left, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seeing, "_NAMES_AT_MOST", 10)

    def session() -> None:
        for number in range(20):
            put(left.root / f"many/{number}")

    assert [each.path for each in left.report(session).unseen] == ["many"]
