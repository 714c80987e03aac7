"""Real mounts, where nobody else sees them."""

from __future__ import annotations

import ctypes
import os
import signal
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from pi_agent.linux import mount_api

_CLONE_NEWNS: Final = 0x20000
_PRIVATE: Final = 0x40000 | 0x4000  # MS_PRIVATE | MS_REC
_MOVE: Final = 0x2000  # MS_MOVE
_NOTHING_CAN_BE_MOUNTED: Final = 77
_libc: Final = ctypes.CDLL(None, use_errno=True)


def alone(act: Callable[[], None]) -> None:
    """Run act in a child with a mount namespace of its own. An exception in it fails the test."""
    listen, tell = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.close(listen)
            if _libc.unshare(_CLONE_NEWNS) or _libc.mount(b"none", b"/", None, _PRIVATE, None):
                status = _NOTHING_CAN_BE_MOUNTED
            else:
                act()
                status = 0
        except BaseException:
            os.write(tell, traceback.format_exc().encode()[-60000:])
        finally:
            os._exit(status)
    os.close(tell)
    with open(listen, encoding="utf-8") as words:
        said = words.read()
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status == _NOTHING_CAN_BE_MOUNTED:
        pytest.skip("nothing can be mounted here")
    assert status == 0, said


@dataclass(frozen=True)
class Unit:
    """A process with a mount namespace of its own, as a unit of systemd's has. descriptor: see pidfd_open(2)."""

    number: int
    descriptor: int

    def check(self, act: Callable[[], None]) -> None:
        """Run act in a child that sees what the process sees. An exception in it fails the test."""

        def inside() -> None:
            assert _libc.setns(self.descriptor, _CLONE_NEWNS) == 0, os.strerror(ctypes.get_errno())
            act()

        alone(inside)


@contextmanager
def apart(root: Path | None = None) -> Iterator[Unit]:
    """Such a process, which ends on exit. root: its root directory, a mount point; otherwise it sees what we see."""
    ready, tell = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            _move_apart(root)
            os.write(tell, b".")
            signal.pause()
        finally:
            os._exit(1)
    os.close(tell)
    assert os.read(ready, 1) == b".", "the process has no namespace of its own"
    os.close(ready)
    descriptor = os.pidfd_open(child)
    try:
        yield Unit(child, descriptor)
    finally:
        os.close(descriptor)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def _move_apart(root: Path | None) -> None:
    assert _libc.unshare(_CLONE_NEWNS) == 0
    assert _libc.mount(b"none", b"/", None, _PRIVATE, None) == 0
    if root is not None:
        os.chdir(root)
        assert _libc.mount(b".", b"/", None, _MOVE, None) == 0
        os.chroot(".")
        os.chdir("/")


def mount_points_of(process: int | str) -> set[str]:
    """Where something is mounted for the process (proc_pid_mountinfo(5))."""
    lines = Path(f"/proc/{process}/mountinfo").read_text().splitlines()
    return {line.split()[4].encode().decode("unicode_escape") for line in lines}


def tmpfs(path: Path) -> Path:
    """Mount a new tmpfs at path, which is created."""
    path.mkdir(parents=True, exist_ok=True)
    assert _libc.mount(b"tmpfs", os.fsencode(path), b"tmpfs", 0, None) == 0, os.strerror(ctypes.get_errno())
    return path


def attach(tree: int, place: Path) -> None:
    """Attach a mount, and close its descriptor."""
    target = os.open(place, os.O_PATH)
    mount_api.attach(tree, target)
    os.close(target)
    os.close(tree)


def mounted(path: Path | str) -> set[str]:
    """The mount's own options at path (proc_pid_mountinfo(5)); empty if nothing is mounted there."""
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        words = line.split()
        if words[4] == str(path):
            return set(words[5].split(","))
    return set()
