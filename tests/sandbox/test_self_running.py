from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest

from pi_agent.policy.project_roots import Project
from pi_agent.sandbox import project_search, self_running
from pi_agent.sandbox.project_search import ProjectView
from pi_agent.sandbox.self_running import Snapshot
from tests.support import people, policies
from tests.support.policies import frozen
from tests.support.trees import await_tick, put

_PROTECTED = [".git/hooks", ".git/config", ".envrc", ".vscode"]


def look(root: Path) -> Snapshot:
    descriptor = os.open(root, os.O_PATH)
    try:
        return self_running.snapshot(ProjectView(descriptor, str(root), people.alice(root)), str(root), _PROTECTED)
    finally:
        os.close(descriptor)


def news(root: Path, act: Callable[[], object]) -> list[str]:
    """What is reported after a session that ran act."""
    open_before = os.listdir("/proc/self/fd")
    before = look(root)
    act()
    after = look(root)
    assert os.listdir("/proc/self/fd") == open_before
    return self_running.changed(before, after)


def test_what_is_new_or_changed_is_told_and_nothing_else(tmp_path: Path) -> None:
    for name in (".git/hooks/kept", ".git/hooks/changed", ".git/hooks/touched", ".git/hooks/removed", ".envrc"):
        put(tmp_path / name)

    def session() -> None:
        await_tick(tmp_path / ".envrc")  # the last file that was made
        put(tmp_path / ".git/hooks/changed", "y")
        before = (tmp_path / ".envrc").stat()
        put(tmp_path / ".envrc", "z")
        os.utime(tmp_path / ".envrc", ns=(before.st_atime_ns, before.st_mtime_ns))  # with the same size and time
        (tmp_path / ".git/hooks/touched").chmod(0o755)
        (tmp_path / ".git/hooks/removed").unlink()
        put(tmp_path / ".vscode/a/tasks.json")
        put(tmp_path / "src/main.py")

    told = news(tmp_path, session)
    assert told == [".envrc", ".git/hooks/changed", ".git/hooks/touched", ".vscode/a/tasks.json"]
    assert news(tmp_path, lambda: None) == []


def test_a_repository_below_and_what_leads_git_elsewhere_are_looked_at(tmp_path: Path) -> None:
    (tmp_path / "vendored/lib").mkdir(parents=True)

    def session() -> None:
        put(tmp_path / "vendored/lib/.git/hooks/post-checkout")
        put(tmp_path / ".git/commondir")

    assert news(tmp_path, session) == [".git/commondir", "vendored/lib/.git/hooks/post-checkout"]


def test_a_link_within_the_project_is_told_by_what_it_leads_to(tmp_path: Path) -> None:
    put(tmp_path / "scripts/envrc")
    (tmp_path / ".envrc").symlink_to("scripts/envrc")
    (tmp_path / ".vscode").symlink_to(tmp_path / "editor")
    put(tmp_path / "editor/settings.json")

    def session() -> None:
        put(tmp_path / "scripts/envrc", "longer")
        put(tmp_path / "editor/tasks.json")

    assert news(tmp_path, session) == [".envrc", ".vscode/tasks.json"]


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ({"scripts": {"test": "x"}}, {"scripts": {"test": "x"}, "version": "2"}, False),
        ({"scripts": {"test": "x", "lint": "y"}}, {"scripts": {"lint": "y", "test": "x"}}, False),
        ({"scripts": {"test": "x"}}, {"scripts": {"test": "y"}}, True),
        ({"scripts": {}}, {"scripts": {"postinstall": "y"}}, True),
        ({}, {"scripts": {"postinstall": "y"}}, True),
        (None, {"scripts": {"postinstall": "y"}}, True),
        (None, {"name": "x"}, False),
        ({"scripts": {"test": "x"}}, {}, False),
        ({"scripts": {"test": "x"}}, [], False),
    ],
)
def test_of_a_package_only_its_scripts_are_news(tmp_path: Path, before: object, after: object, told: bool) -> None:
    file = tmp_path / "package.json"
    if before is not None:
        file.write_bytes(orjson.dumps(before))
    assert news(tmp_path, lambda: file.write_bytes(orjson.dumps(after))) == (["package.json"] if told else [])


_RUN_BY_NPM = [
    b'\xef\xbb\xbf{"scripts": {"postinstall": "evil"}}',
    b'{"scripts": {"postinstall": "evil"}, "description": "\xff"}',
    b'{"scripts": {"postinstall": "evil"}, "description": "\\ud800"}',
    b'{"scripts": {"postinstall": "evil"}}' + b" " * self_running._PACKAGE_AT_MOST,
]


@pytest.mark.parametrize("content", _RUN_BY_NPM, ids=["byte order mark", "not UTF-8", "lone surrogate", "large"])
def test_a_package_that_we_cannot_read_but_npm_can_is_told(tmp_path: Path, content: bytes) -> None:
    assert news(tmp_path, lambda: (tmp_path / "package.json").write_bytes(content)) == ["package.json"]


def test_gits_samples_are_no_news(tmp_path: Path) -> None:
    def session() -> None:
        put(tmp_path / ".git/hooks/pre-commit.sample")
        put(tmp_path / ".git/hooks/pre-commit")

    assert news(tmp_path, session) == [".git/hooks/pre-commit"]


def test_the_look_ends_at_a_depth_and_at_a_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def deep() -> None:
        put(tmp_path / ".vscode/1/2/told")
        put(tmp_path / ".vscode/1/2/3/too-deep")

    assert news(tmp_path, deep) == [".vscode/1/2/told"]
    monkeypatch.setattr(self_running, "_FILES_AT_MOST", 20)

    def many() -> None:
        for number in range(100):
            put(tmp_path / f".vscode/many-{number}")

    assert 15 < len(news(tmp_path, many)) <= 21


def test_what_the_viewer_cannot_read_is_not_there_and_no_error(ordinary: Path) -> None:
    for name in (".git/hooks/pre-commit", ".vscode/tasks.json", "package.json", ".envrc"):
        put(ordinary / name)
    os.mkfifo(ordinary / ".git/hooks/fifo")

    def session() -> None:
        await_tick(ordinary / ".envrc")
        for name in (".git/hooks", ".vscode", "package.json", ".envrc"):
            (ordinary / name).chmod(0)

    told = news(ordinary, session)
    assert [path for path in told if path != "package.json"] == [".envrc"], "its mode is news; the others are shut"
    for name in (".git/hooks", ".vscode"):
        (ordinary / name).chmod(0o700)
    (ordinary / "package.json").unlink()
    os.mkfifo(ordinary / "package.json")
    (ordinary / ".envrc").unlink()
    (ordinary / ".envrc").symlink_to(".envrc")
    assert set(look(ordinary)) >= {".git/hooks/pre-commit", ".git/hooks/fifo", ".vscode/tasks.json"}


@pytest.mark.parametrize("way", ["{outside}", "../outside", "/proc/self/root{outside}"])
def test_nothing_outside_of_the_root_is_looked_at(tmp_path: Path, way: str) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    put(outside / "secret")
    (root / ".git").mkdir(parents=True)
    for name in (".vscode", ".git/hooks"):
        target = way.format(outside=outside) if way.startswith(("/", "{")) else "../" * name.count("/") + way
        (root / name).symlink_to(target)
        assert (root / name / "secret").exists()
    assert not any("secret" in path for path in look(root))
    assert news(root, lambda: put(outside / "secret", "changed")) == []


@pytest.mark.parametrize("target", ["/proc/self/cwd/evil.sh", "/home/alice/other/evil.sh", "../../../elsewhere/evil"])
@pytest.mark.parametrize("name", [".git/hooks/post-checkout", ".envrc"])
def test_a_new_link_out_of_the_root_is_told(tmp_path: Path, name: str, target: str) -> None:
    """Git runs a hook in the work tree: there, /proc/self/cwd/evil.sh is a file of the project."""
    put(tmp_path / "evil.sh")
    put(tmp_path / ".git/hooks/kept")
    assert news(tmp_path, lambda: (tmp_path / name).symlink_to(target)) == [name]


def test_a_watch_looks_now_and_again_afterwards(tmp_path: Path) -> None:
    put(tmp_path / ".envrc")
    policy = frozen(sandbox=policies.sandbox(protectedPaths=[".envrc", "sub"]))
    project = Project(str(tmp_path), os.open(tmp_path, os.O_PATH), str(tmp_path))
    told = self_running.watch(policy, people.alice(tmp_path), project)
    assert told() == []
    put(tmp_path / ".envrc", "longer")
    put(tmp_path / "sub/x")
    put(tmp_path / ".git/hooks/not-asked-for")
    assert told() == [".envrc", "sub/x"]
    os.close(project.descriptor)


def test_a_look_that_the_viewer_is_not_let_into_at_all_is_empty(ordinary: Path) -> None:
    put(ordinary / ".envrc")
    descriptor = os.open(ordinary, os.O_PATH)
    ordinary.chmod(0)
    ground = ProjectView(descriptor, str(ordinary), people.alice(ordinary))
    assert self_running.snapshot(ground, str(ordinary), _PROTECTED) == {}
    assert list(project_search.find(ground, str(ordinary), _PROTECTED)) == []
    ordinary.chmod(0o700)
    os.close(descriptor)
