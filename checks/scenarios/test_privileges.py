"""What a program in the sandbox may do: to processes, to the kernel, to gain another identity."""

from __future__ import annotations

import os
import re
import signal
from typing import Final

from support.commands import inside, on_machine
from support.installed import agent
from support.sessions import IDLE, session
from support.units import shown

STATUS = "grep -E '^(Cap|NoNewPrivs|Seccomp:|Uid|Gid|Groups)' /proc/self/status"


def test_there_are_no_capabilities_and_none_can_be_gained() -> None:
    seen = dict(line.split(":", 1) for line in inside(STATUS).ok().text.splitlines())
    for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(seen[name], 16) == 0, name
    assert seen["NoNewPrivs"].strip() == "1"
    assert seen["Seccomp"].strip() == "2"
    user = agent("pi-probe")
    assert set(seen["Uid"].split()) == {str(user.pw_uid)}
    assert set(seen["Gid"].split()) == {str(user.pw_gid)}
    assert set(seen["Groups"].split()) <= {str(user.pw_gid)}


def test_a_process_can_signal_its_own() -> None:
    assert inside("sleep 100 & kill -TERM $!; wait $!").status == 128 + signal.SIGTERM


# Each way to begin a trace of one's own child, and its result. See ptrace(2), pidfd_getfd(2).
TRACE: Final = """
import ctypes, errno, os, signal
libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
def tell(name, result):
    print(name, "works" if result >= 0 else errno.errorcode[ctypes.get_errno()], flush=True)
def child(act):
    pid = os.fork()
    if not pid:
        act()
        os._exit(0)
    return pid
os.waitpid(child(lambda: tell("TRACEME", libc.ptrace(0, 0, None, None))), 0)
for name, request in {"ATTACH": 16, "SEIZE": 0x4206}.items():
    other = child(signal.pause)
    tell(name, libc.ptrace(request, other, None, None))
    if name == "SEIZE":
        tell("pidfd_getfd", libc.syscall(438, os.pidfd_open(other), 0, 0))
    os.kill(other, signal.SIGKILL)
"""
WAYS: Final = ("TRACEME", "ATTACH", "SEIZE", "pidfd_getfd")


def test_a_process_cannot_trace_its_own() -> None:
    """The system call filter refuses it, so debuggers do not work inside."""
    refused = inside('python3 -c "$1"', TRACE).ok().text.splitlines()
    assert refused == [f"{way} EPERM" for way in WAYS]
    told = inside("strace true")
    assert told.status == 1
    assert re.search(r"PTRACE_TRACEME(, \.\.\.\))?: Operation not permitted", told.complaint)
    # The same user can do it outside.
    user = agent("pi-probe")
    words = ("setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups")
    done = on_machine(*words, "python3", "-c", TRACE).ok().text.splitlines()
    assert done == [f"{way} works" for way in WAYS]


def test_the_unit_is_the_agents_and_in_its_own_slice() -> None:
    with session("alice", "pi-probe", *IDLE) as running:
        assert running.unit.startswith("pi-agent-alice-")
        assert shown(running.unit, "Slice") == "pi-agent.slice"
        assert shown(running.unit, "NoNewPrivileges") == "yes"
        assert os.stat(f"/proc/{running.main_pid()}").st_uid == agent("pi-probe").pw_uid
