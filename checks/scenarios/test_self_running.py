"""Every file of docs/self-running.md, in a project as alice might have it: what is protected, and what may change."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest
from support.commands import as_user, inside
from support.installed import home, policy
from support.servers import connects, listening

from pi_agent.messages import notices
from pi_agent.sandbox import self_running_table
from pi_agent.sandbox.self_running_table import LEFT, PROTECTED, TOLD

_TABLE: Final = self_running_table.load()
# Names that git itself needs to be what they are. checks/escapes/test_protected.py tries them.
_OF_GIT: Final = frozenset({".git/config", ".git/config.worktree", ".git/hooks"})
_MARK: Final = "made by alice"

# Makes the paths on standard input: as files, or as directories that hold a file.
_MAKE: Final = r"""
import json, os, sys
for path in json.load(sys.stdin):
    if sys.argv[1] == "directories":
        path += "/inner"
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    with open(path, "w") as file:
        file.write("made by alice")
"""

# Tries to change each path on standard input in many ways. Prints those for which one succeeded, with the way.
_CHANGE: Final = r"""
import json, os, shutil, sys
paths = json.load(sys.stdin)
def append(path):
    with open(path + "/inner" if os.path.isdir(path) else path, "a") as file:
        file.write("changed inside")
def truncate(path):
    os.truncate(path + "/inner" if os.path.isdir(path) else path, 0)
def enter(path):
    open(path + "/new", "x").close()
def chmod(path):
    os.chmod(path, 0o777)
def replace(path):
    with open("replacement", "w") as file:
        file.write("changed inside")
    os.replace("replacement", path)
def rename(path):
    os.rename(path, path + "-moved")
def remove(path):
    shutil.rmtree(path) if os.path.isdir(path) else os.unlink(path)
def rename_above(path):
    top = path.split("/")[0]
    if top == path:
        raise OSError
    os.rename(top, top + "-moved")
done = []
for path in paths:
    for change in (append, truncate, enter, chmod, replace, rename, remove, rename_above):
        try:
            change(path)
            done.append([path, change.__name__])
            break
        except OSError:
            pass
print(json.dumps(done))
"""


def samples(patterns: Iterable[str]) -> list[str]:
    """A path that each pattern matches."""
    return [pattern.replace("*", "x") for pattern in patterns if pattern not in _OF_GIT and ".git/info" not in pattern]


@pytest.fixture(params=["files", "directories"])
def project(request: pytest.FixtureRequest) -> Iterator[tuple[Path, str]]:
    """A project with one git repository. Yields it, and as what to make paths in it."""
    place = home("alice") / "p/self-running"
    as_user("alice", "git", "init", "--quiet", place, cwd="/").ok()
    yield place, request.param
    as_user("alice", "rm", "-rf", place, cwd="/").ok()


def make(place: Path, kind: str, paths: Sequence[str]) -> None:
    as_user("alice", "python3", "-c", _MAKE, kind, cwd=place, stdin=json.dumps(paths).encode()).ok()


def changed(place: Path, paths: Sequence[str]) -> list[list[str]]:
    """The paths that a program inside could change, each with the way."""
    result = inside('python3 -c "$1"', _CHANGE, cwd=place, stdin=json.dumps(paths).encode(), timeout=120).ok()
    found: list[list[str]] = json.loads(result.stdout)
    return found


def test_nothing_that_is_protected_can_be_changed_inside(project: tuple[Path, str]) -> None:
    place, kind = project
    paths = samples(self_running_table.patterns(_TABLE, PROTECTED))
    assert len(paths) > 300
    assert set(policy("pi-probe")["sandbox"]["protectedPaths"]) == {*self_running_table.patterns(_TABLE, PROTECTED)}
    make(place, kind, paths)
    assert changed(place, paths) == []
    for path in paths:
        inner = place / path / "inner" if kind == "directories" else place / path
        assert inner.read_text() == _MARK, path


def test_what_is_told_or_left_can_be_changed_inside(project: tuple[Path, str]) -> None:
    """The grant, and the control: the same attempts succeed where nothing is protected."""
    place, kind = project
    paths = samples([*self_running_table.patterns(_TABLE, TOLD), *self_running_table.patterns(_TABLE, LEFT)])
    make(place, kind, paths)
    assert changed(place, paths) == [[path, "append"] for path in paths]


def test_beside_a_protected_file_ordinary_ones_can_be_made(project: tuple[Path, str]) -> None:
    place, kind = project
    paths = samples(self_running_table.patterns(_TABLE, PROTECTED))
    make(place, kind, paths)
    folders = sorted({str(Path(path).parent) for path in paths})
    assert len(folders) > 10
    inside('for folder; do echo x >"$folder/ordinary" || exit; done', *folders, cwd=place).ok()
    for folder in folders:
        assert (place / folder / "ordinary").read_text() == "x\n"


# -- sockets in the project


@contextmanager
def listening_as_alice(path: Path) -> Iterator[None]:
    """A program on the host that listens at the path."""
    owner = home("alice").stat()
    with listening(socket.AF_UNIX, str(path)):
        os.chown(path, owner.st_uid, owner.st_gid)
        try:
            yield
        finally:
            path.unlink()


def test_a_socket_in_the_project_can_be_connected_to_and_is_named_at_the_start() -> None:
    path = home("alice") / "p/demo/agent.sock"
    with listening_as_alice(path):
        told = notices.sockets_reachable([str(path)])
        assert " ".join(told.split()) in inside("true").ok().complaint
        assert connects("pi-probe", "unix", str(path))
        assert connects("pi-offline", "unix", str(path))
    assert "sockets" not in inside("true").ok().complaint


def test_a_hidden_socket_can_neither_be_connected_to_nor_is_it_named() -> None:
    path = home("alice") / ".1password/agent.sock"
    as_user("alice", "mkdir", "-p", path.parent, cwd="/").ok()
    try:
        with listening_as_alice(path):
            result = inside("true", command="pi-home", cwd=home("alice")).ok()
            assert str(path) not in result.complaint
            assert not connects("pi-home", "unix", str(path))
    finally:
        as_user("alice", "rm", "-r", path.parent, cwd="/").ok()
