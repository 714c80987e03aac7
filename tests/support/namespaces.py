"""Real mounts, where nobody else sees them."""

from __future__ import annotations

import ctypes
import os
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

_CLONE_NEWNS: Final = 0x20000
_PRIVATE: Final = 0x40000 | 0x4000  # MS_PRIVATE | MS_REC
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


def tmpfs(path: Path) -> Path:
    """Mount a new tmpfs at path, which is created."""
    path.mkdir(parents=True, exist_ok=True)
    assert _libc.mount(b"tmpfs", os.fsencode(path), b"tmpfs", 0, None) == 0, os.strerror(ctypes.get_errno())
    return path


def mounted(path: Path | str) -> set[str]:
    """The mount's own options at path (proc_pid_mountinfo(5)); empty if nothing is mounted there."""
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        words = line.split()
        if words[4] == str(path):
            return set(words[5].split(","))
    return set()
