"""The words for setpriv(1). Scenarios and escapes show what they do to a session."""

from __future__ import annotations

import ctypes
import os
import pty
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from pi_agent.linux import landlock
from pi_agent.sandbox import file_access
from tests.support import policies
from tests.support.policies import frozen


@pytest.fixture(autouse=True)
def offered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(landlock, "version", lambda: 7)


@contextmanager
def streams(*opened: int) -> Iterator[None]:
    """Standard streams from these descriptors, in order."""
    with ExitStack() as after:
        for number, descriptor in enumerate(opened):
            kept = os.dup(number)
            after.callback(os.close, kept)
            after.callback(os.dup2, kept, number)
            os.dup2(descriptor, number)
        yield


def rules(*opened: int, terminal: bool = False) -> dict[str, set[str]]:
    """The rules, without the one for the root: path → rights."""
    with streams(*opened):
        words = file_access.confinement(frozen(), terminal=terminal)
    assert words[::2] == ("--landlock-access", *["--landlock-rule"] * (len(words) // 2 - 1))
    kind, handled = words[1].split(":")
    found = [rule.split(":") for rule in words[3::2]]
    assert {rule[0] for rule in found} == {"path-beneath"} and kind == "fs"
    allowed = {path: set(rights.split(",")) for _, rights, path in found}
    assert allowed.pop("/") == set(handled.split(",")), "everything in the session's own view"
    assert allowed.pop("/dev/mqueue") == {"read-file", "write-file", "make-reg", "remove-file"}
    return allowed


@pytest.fixture
def null() -> Iterator[int]:
    descriptor = os.open("/dev/null", os.O_RDWR)
    yield descriptor
    os.close(descriptor)


def test_files_that_are_given_as_streams_can_be_opened_again_for_the_same(tmp_path: Path, null: int) -> None:
    file = tmp_path / "file"
    file.touch()
    opened = [os.open(file, flags) for flags in (os.O_RDONLY, os.O_WRONLY | os.O_APPEND)]
    assert rules(*opened, null) == {
        "/proc/self/fd/0": {"read-file"},
        "/proc/self/fd/1": {"write-file", "truncate"},
        "/proc/self/fd/2": {"read-file", "write-file", "truncate"},
    }
    for each in opened:
        os.close(each)


def test_what_a_rule_would_open_more_by_or_that_needs_none_gets_none(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.touch()
    opened = [
        os.open(tmp_path, os.O_RDONLY),
        os.open("/", os.O_PATH),
        os.open(gone, os.O_RDONLY),
        os.open("/dev/null", os.O_PATH),
        os.memfd_create("memory"),
        socket.socket().detach(),
        *os.pipe(),
        *pty.openpty(),
    ]
    gone.unlink()
    for each in opened:
        assert rules(each, each, each) == {}, os.readlink(f"/proc/self/fd/{each}")
        os.close(each)


def test_at_a_terminal_the_sessions_own_can_be_opened_again_and_no_stream_of_ours(null: int) -> None:
    assert rules(null, null, null, terminal=True) == {"/proc/self/fd/0": {"read-file", "write-file"}}


@pytest.mark.parametrize("version", [0, 1])
def test_without_a_kernel_that_has_it_there_is_none(monkeypatch: pytest.MonkeyPatch, version: int) -> None:
    monkeypatch.setattr(landlock, "version", lambda: version)
    assert file_access.confinement(frozen(), terminal=True) == ()


def test_an_older_version_is_not_asked_for_what_it_lacks(monkeypatch: pytest.MonkeyPatch, null: int) -> None:
    assert any("truncate" in word for word in file_access.confinement(frozen(), terminal=False))
    monkeypatch.setattr(landlock, "version", lambda: 2)
    with streams(null, null, null):
        words = file_access.confinement(frozen(), terminal=False)
    assert words and not any("truncate" in word for word in words)


def test_where_programs_inside_may_mount_there_is_none() -> None:
    for loose in (["=no"], ["=user mnt"], ["="], ["=yes", "=mnt"], ["=mnt", "=yes"]):
        policy = frozen(sandbox=policies.sandbox(properties=[f"RestrictNamespaces{value}" for value in loose]))
        assert file_access.confinement(policy, terminal=True) == (), loose


@pytest.mark.parametrize("harmless", ["TasksMax=5", "RestrictNamespaces=yes", "RestrictNamespaces=true"])
def test_a_property_that_loosens_nothing_leaves_it_on(harmless: str) -> None:
    policy = frozen(sandbox=policies.sandbox(properties=[harmless]))
    assert file_access.confinement(policy, terminal=True) != ()


def test_the_version_is_the_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    listed = Path("/sys/kernel/security/lsm")
    if listed.exists():
        assert (landlock.version() > 0) == ("landlock" in listed.read_text().split(","))
    else:
        assert landlock.version() >= 0


def test_a_kernel_without_it_has_version_0(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()

    class Refusing:
        @staticmethod
        def syscall(*_: ctypes.c_long) -> int:
            return -1

    monkeypatch.setattr(landlock, "libc", Refusing)
    assert landlock.version() == 0
