"""The runner, called through sudo itself, from directories that are gone, swapped, closed or in another namespace."""

from __future__ import annotations

import os
import sys

import pytest
from support.commands import on_machine
from support.hostile import RUNNER, SUDO, call, script, told
from support.installed import demo


@pytest.mark.parametrize(
    "swap",
    [
        "os.mkfifo(here)",
        "open(here, 'w').close()",
        "os.symlink('/root', here)",
        "os.symlink('nowhere', here)",
        "os.mkdir(here)",
        "pass",
        "os.mkfifo(os.path.dirname(here))",
    ],
)
def test_a_directory_whose_place_something_else_took_is_refused(swap: str) -> None:
    place = demo("alice") / "above/here"
    leave = "os.chdir(here); os.rename(here, here + '.moved'); os.rmdir(here + '.moved')"
    if "dirname" in swap:
        leave += "; os.rmdir(os.path.dirname(here))"
    prelude = f"here = {os.fspath(place)!r}\nos.makedirs(here)\n{leave}\n{swap}"
    told(call(prelude, "x"), "was removed or renamed, or cannot be reached")


def test_a_directory_that_the_caller_may_not_enter_any_more_is_refused_and_one_it_may_not_list_is_not() -> None:
    begin = f"os.mkdir({os.fspath(demo('alice') / 'shut')!r}); os.chdir({os.fspath(demo('alice') / 'shut')!r})\n"
    told(call(begin + "os.chmod('.', 0o000)", "x"), "was removed or renamed, or cannot be reached")
    (demo("alice") / "shut").rmdir()
    assert script(begin + "os.chmod('.', 0o111)", "pwd").ok().text == f"{demo('alice')}/shut"


@pytest.mark.parametrize("place", ["/proc/self/task", "/proc/self/fd", "/sys/kernel", "/dev/shm", "/run", "/var/lib"])
def test_a_directory_of_the_kernels_or_the_systems_is_outside(place: str) -> None:
    told(call(f"os.chdir({place!r})", "x"), "is not inside an allowed project root")


# What root would see at alice's project in another mount namespace (setns(2)).
ELSEWHERE = """
import ctypes, os, pwd, sys, time
libc = ctypes.CDLL(None, use_errno=True)
ours = os.open("/proc/self/ns/mnt", os.O_RDONLY)
place, over, *argv = sys.argv[1:]
assert libc.unshare(0x20000) == 0
assert libc.mount(b"none", b"/", None, 0x44000, None) == 0
if over:
    assert libc.mount(over.encode(), place.encode(), None, 0x1000, None) == 0
there = os.open(place, os.O_PATH)
parent = os.getpid()
if os.fork() == 0:  # the namespace lives as long as somebody is in it
    os.closerange(0, 3)
    while os.getppid() == parent:
        time.sleep(0.02)
    os._exit(0)
assert libc.setns(ours, 0) == 0
os.fchdir(there)
alice = pwd.getpwnam("alice")
os.initgroups("alice", alice.pw_gid); os.setgid(alice.pw_gid); os.setuid(alice.pw_uid)
os.execv(argv[0], argv)
"""


def test_a_directory_of_another_mount_namespace_shows_nothing_that_is_not_at_its_place_here() -> None:
    argv = ["sh", "-c", "ls -A; cat /proc/self/mountinfo", "x"]
    words = [sys.executable, "-I", "-c", ELSEWHERE, os.fspath(demo("alice"))]
    refused = on_machine(*words, "/etc", SUDO, "-n", "--", RUNNER, "exec", *argv)
    told(refused, f"the current directory {demo('alice')} was removed or renamed, or cannot be reached")
    plain = on_machine(*words, "", SUDO, "-n", "--", RUNNER, "exec", *argv).ok().text
    assert "README" in plain and "passwd" not in plain
