"""Ways to a file or directory that a real process keeps."""

from __future__ import annotations

import array
import ctypes
import mmap
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from pi_agent.session import control_group, descriptor_holders

_CLONE_FILES: Final = 0x400
_libc: Final = ctypes.CDLL(None, use_errno=True)


@pytest.fixture(autouse=True)
def unit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have this process be the session."""
    monkeypatch.setattr(
        control_group, "threads", lambda _: [int(name) for name in os.listdir(f"/proc/{os.getpid()}/task")]
    )


def can_change(path: Path, *, linked: bool = True) -> bool:
    """Whether this process has a way to path."""
    held = descriptor_holders.held("x.service")
    opened = os.open(path, os.O_PATH | os.O_NOFOLLOW)
    try:
        return descriptor_holders.can_change(held, opened, linked=linked)
    finally:
        os.close(opened)


@contextmanager
def opened(path: Path, flags: int) -> Iterator[int]:
    """The path, open."""
    descriptor = os.open(path, flags)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file in a directory."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in/file").write_text("content")
    (tmp_path / "in/other").write_text("content")
    (tmp_path / "info").mkdir()
    return tmp_path / "in/file"


def test_who_has_nothing_open_can_change_nothing(file: Path) -> None:
    with opened(file.parent.parent, os.O_RDONLY), opened(file.parent.parent / "info", os.O_RDONLY):
        assert not can_change(file)
        assert not can_change(file.parent)


@pytest.mark.parametrize("flags", [os.O_WRONLY, os.O_RDWR, os.O_RDONLY, os.O_PATH])
def test_a_descriptor_is_a_way_even_one_that_only_reads(file: Path, flags: int) -> None:
    with opened(file, flags):
        assert can_change(file)
        assert can_change(file.parent)
        assert not can_change(file.parent / "other")
    assert not can_change(file)


def test_so_is_a_directory_that_is_open_or_in_which_somebody_works(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with opened(file.parent, os.O_PATH):
        assert can_change(file.parent)
        assert not can_change(file)
    with monkeypatch.context() as there:
        there.chdir(file.parent)
        assert can_change(file.parent)
    assert not can_change(file.parent)


def mapped(file: Path, flags: int, protection: int) -> mmap.mmap:
    """A mapping of the file, without the descriptor that Python keeps of it."""
    before = {*os.listdir("/proc/self/fd")}
    with opened(file, os.O_RDWR) as descriptor:
        found = mmap.mmap(descriptor, 0, flags, protection)
    for name in {*os.listdir("/proc/self/fd")} - before:
        if Path(f"/proc/self/fd/{name}").exists():
            os.close(int(name))
    return found


def test_so_is_a_shared_mapping(file: Path) -> None:
    shared = mapped(file, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
    assert can_change(file)
    assert can_change(file.parent)
    assert not can_change(file.parent / "other")
    shared[0] = 33
    assert file.read_text() == "!ontent"


def test_a_private_mapping_is_none(file: Path) -> None:
    private = mapped(file, mmap.MAP_PRIVATE, mmap.PROT_READ)
    assert not can_change(file)
    assert not can_change(file.parent)
    assert private[0] == ord("c")


def test_a_descriptor_that_waits_in_a_socket_could_be_of_anything(file: Path) -> None:
    sender, receiver = socket.socketpair()
    with opened(file, os.O_RDONLY) as descriptor:
        sender.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [descriptor]))])
    assert can_change(file)
    _, received, _, _ = socket.recv_fds(receiver, 1, 1)
    os.close(received[0])
    assert not can_change(file)
    sender.close()
    receiver.close()


def test_another_name_is_a_way(file: Path) -> None:
    os.link(file, file.parent.parent / "link")
    assert can_change(file)
    assert can_change(file.parent)
    assert not can_change(file, linked=False)


def test_a_thread_may_have_descriptors_of_its_own(file: Path) -> None:
    ready, done = threading.Event(), threading.Event()

    def hold() -> None:
        assert _libc.unshare(_CLONE_FILES) == 0
        os.open(file, os.O_RDONLY)
        ready.set()
        done.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    ready.wait()
    try:
        assert can_change(file)
    finally:
        done.set()
        thread.join()
