"""The gate of a session: who waits before it goes on at a word, or ends with the runner."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import pytest

from pi_agent.session.gate import Gate
from tests.support.limits import open_descriptors


def connected(path: str | Path) -> socket.socket:
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(20)
    directory = os.open(os.path.dirname(path), os.O_PATH)
    client.connect(f"/proc/self/fd/{directory}/{os.path.basename(path)}")
    os.close(directory)
    return client


def test_who_waits_is_let_in_by_a_word(tmp_path: Path) -> None:
    with Gate(str(tmp_path / "gate")) as gate, connected(tmp_path / "gate") as client:
        client.setblocking(False)
        with pytest.raises(BlockingIOError):
            client.recv(9)
        gate.open()
        assert client.recv(9) == b"go\n"


@pytest.mark.parametrize("opened", [False, True])
def test_with_the_gate_goes_its_end(tmp_path: Path, opened: bool) -> None:
    gate = Gate(str(tmp_path / "gate"))
    with connected(tmp_path / "gate") as client:
        if opened:
            gate.open()
            assert client.recv(9) == b"go\n"
        gate.close()
        gate.close()
        try:
            assert client.recv(9) == b""
        except ConnectionResetError:  # nobody had accepted the connection
            assert not opened


def test_nobody_waits_for_who_does_not_come(tmp_path: Path) -> None:
    with Gate(str(tmp_path / "gate")) as gate, pytest.raises(BlockingIOError):
        gate.open()


def test_a_path_may_be_longer_than_that_of_a_socket(tmp_path: Path) -> None:
    path = tmp_path / ("d" * 200) / "gate"
    path.parent.mkdir()
    with Gate(str(path)) as gate, connected(path) as client:
        assert stat.S_ISSOCK(path.stat().st_mode)
        gate.open()
        assert client.recv(9) == b"go\n"


def test_nothing_stays_open(tmp_path: Path) -> None:
    before = open_descriptors()
    with Gate(str(tmp_path / "gate")) as gate, connected(tmp_path / "gate"):
        gate.open()
    with pytest.raises(OSError):
        Gate(str(tmp_path / "gate"))
    with pytest.raises(OSError):
        Gate(str(tmp_path / "none/gate"))
    assert open_descriptors() == before
