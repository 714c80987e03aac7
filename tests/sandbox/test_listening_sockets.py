"""Sockets of real programs of this machine, below a project's root."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from pi_agent.messages import notices
from pi_agent.sandbox import listening_sockets
from tests.support.limits import open_descriptors
from tests.support.projects import ground
from tests.support.trees import put


class Sockets:
    """Makes sockets, and closes them."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack

    def bound(self, path: Path, kind: int = socket.SOCK_STREAM) -> socket.socket:
        path.parent.mkdir(parents=True, exist_ok=True)
        made = self._stack.enter_context(socket.socket(socket.AF_UNIX, kind))
        made.bind(os.fspath(path))
        return made

    def listening(self, path: Path, kind: int = socket.SOCK_STREAM) -> None:
        self.bound(path, kind).listen()


@pytest.fixture
def sockets() -> Iterator[Sockets]:
    with ExitStack() as stack:
        yield Sockets(stack)


def told(root: Path, *hidden: str) -> list[str]:
    with ground(root) as there:
        return listening_sockets.told(there, hidden)


def test_a_project_without_sockets_is_told_nothing_of(tmp_path: Path, sockets: Sockets) -> None:
    put(tmp_path / "p/file")
    sockets.listening(tmp_path / "beside")
    sockets.listening(tmp_path / "p2/s")
    assert told(tmp_path / "p") == []


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_SEQPACKET])
def test_a_listening_socket_is_told_wherever_it_lies(tmp_path: Path, sockets: Sockets, kind: int) -> None:
    found = [tmp_path / "agent.sock", tmp_path / "deep/er/and/deep/er/a b"]
    for path in found:
        sockets.listening(path, kind)
    assert told(tmp_path) == [notices.sockets_reachable([str(path) for path in found])]


def test_a_socket_for_datagrams_is_told_for_it_needs_no_listening(tmp_path: Path, sockets: Sockets) -> None:
    sockets.bound(tmp_path / "log", socket.SOCK_DGRAM)
    assert told(tmp_path) == [notices.sockets_reachable([f"{tmp_path}/log"])]


def test_a_socket_on_which_nobody_listens_is_not_told(tmp_path: Path, sockets: Sockets) -> None:
    sockets.bound(tmp_path / "bound")
    sockets.bound(tmp_path / "left").listen()
    (tmp_path / "left").unlink()
    sockets.bound(tmp_path / "replaced").listen()
    (tmp_path / "replaced").unlink()
    put(tmp_path / "replaced")
    assert told(tmp_path) == []


def test_a_hidden_socket_is_not_told_since_nobody_inside_reaches_it(tmp_path: Path, sockets: Sockets) -> None:
    sockets.listening(tmp_path / ".1password/agent.sock")
    sockets.listening(tmp_path / ".1password2")
    assert told(tmp_path, ".1password") == [notices.sockets_reachable([f"{tmp_path}/.1password2"])]


def test_a_name_that_pretends_to_be_another_line_or_leads_out_is_harmless(sockets: Sockets) -> None:
    with TemporaryDirectory() as top:  # of a short name: a socket's path has 107 bytes at most
        root = Path(top, "p")
        (root / "also").mkdir(parents=True)
        (root / "link").symlink_to("../out")
        sockets.listening(Path(top, "out"))
        sockets.listening(root / f"x\n0: 2 0 10000 1 1 1 {root}/no".replace("/", "_"))
        sockets.listening(Path(f"{root}/also/\x1b[31m"))
        [notice] = told(root)
    assert notice == notices.sockets_reachable([f"{root}/also/\x1b[31m"])
    assert "\x1b" not in notice


def test_a_table_that_is_too_long_or_missing_is_not_taken_for_empty(
    tmp_path: Path, sockets: Sockets, monkeypatch: pytest.MonkeyPatch
) -> None:
    sockets.listening(tmp_path / "s")
    monkeypatch.setattr(listening_sockets, "_TABLE_AT_MOST", 10)
    assert told(tmp_path) == [notices.sockets_not_looked_for(str(tmp_path))]
    monkeypatch.setattr(listening_sockets, "_TABLE", str(tmp_path / "none"))
    assert told(tmp_path) == [notices.sockets_not_looked_for(str(tmp_path))]


def test_looking_leaves_no_descriptor_open(tmp_path: Path, sockets: Sockets) -> None:
    sockets.listening(tmp_path / "s")
    before = open_descriptors()
    assert told(tmp_path)
    assert open_descriptors() == before
