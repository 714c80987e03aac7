"""Attempts on processes of the host and of other sessions."""

from __future__ import annotations

from typing import Final

from escapes.case import WORKS, Case, Control, grouped

_GONE: Final = ("ESRCH",)
_ABSENT: Final = ("ENOENT",)
_ROOT: Final = Control("root")
# The same uid may do it outside, so the denial comes from the sandbox. All sessions of a user have it.
_SAME_UID: Final = Control("agent")
# SIGURG is ignored by default, so the controls do no harm.
_VICTIMS: Final = {
    "host": ("a process of root's", "there.sleeper", "root"),
    "users": ("a process of the user's own", "there.own", "alice"),
    "session": ("a process of another session of the same user", "there.second", "agent"),
    "other-user": ("a process of another user's session", "there.other", "root"),
}

# The answer, other than success, if nothing forbids the attempt.
_NO_SUCH_ADDRESS: Final = ("EFAULT",)

_LOOKS: Final = ("environment", "memory", "root", "trace", "read-memory", "compare")

_ON_EACH: Final = tuple(
    Case(
        f"{name}-{victim}",
        "processes",
        f"{what} {whom}",
        code.replace("PID", pid),
        denied,
        # The same uid may not look into a process in another user namespace. Root may.
        Control(
            "root" if victim == "session" and name in _LOOKS else who,
            gives=_NO_SUCH_ADDRESS if name == "read-memory" else (WORKS,),
        ),
    )
    for victim, (whom, pid, who) in _VICTIMS.items()
    for name, what, code, denied in (
        ("signal", "signal", "os.kill(PID, signal.SIGURG)", _GONE),
        ("pidfd", "get a descriptor of", "os.close(os.pidfd_open(PID))", _GONE),
        ("environment", "read the environment of", "read(f'/proc/{PID}/environ')", _ABSENT),
        ("memory", "open the memory of", "os.close(os.open(f'/proc/{PID}/mem', os.O_RDWR))", _ABSENT),
        ("command", "read the command line of", "read(f'/proc/{PID}/cmdline')", _ABSENT),
        ("root", "enter the root directory of", "os.chdir(f'/proc/{PID}/root')", _ABSENT),
        ("descriptors", "list the open files of", "os.listdir(f'/proc/{PID}/fd')", _ABSENT),
        ("trace", "trace", "call('ptrace', 0x4206, PID, 0, 0)", ("EPERM", "ESRCH")),
        (
            "read-memory",
            "read the memory of",
            "data = ctypes.create_string_buffer(8)\n"
            "part = struct.pack('PN', ctypes.addressof(data), 8)\n"
            "far = struct.pack('PN', 4096, 8)\n"
            "call('process_vm_readv', PID, part, 1, far, 1, 0)",
            ("EPERM", "ESRCH"),
        ),
        ("compare", "compare the open files of", "call('kcmp', os.getpid(), PID, 2, 0, 0)", ("EPERM", "ESRCH")),
        ("priority", "change the priority of", "os.setpriority(os.PRIO_PROCESS, PID, 19)", ("EPERM", "ESRCH")),
        ("affinity", "bind to a processor", "os.sched_setaffinity(PID, os.sched_getaffinity(0))", ("EPERM", "ESRCH")),
    )
)

CASES: Final = grouped(
    "processes",
    *_ON_EACH,
    Case(
        "list",
        "processes",
        "find a process that is none of its own in /proc",
        "found([pid for pid in processes() if b'checks-of-the-host' in read_of(pid, 'cmdline')])",
        ("nothing",),
        _ROOT,
    ),
    Case(
        "list-all",
        "processes",
        "find systemd in /proc",
        "found([pid for pid in processes() if read_of(pid, 'comm') == b'systemd\\n'])",
        ("nothing",),
        _ROOT,
    ),
    Case(
        "shared-memory",
        "processes",
        "attach to the host's System V shared memory",
        "checked(LIBC.shmget(there.shm, 4096, 0))",
        ("ENOENT",),
        _SAME_UID,
    ),
    Case(
        "queues",
        "processes",
        "open the host's POSIX message queue",
        "library = ctypes.CDLL('librt.so.1', use_errno=True)\n"
        "checked(library.mq_open(b'/checks-of-the-host', os.O_RDONLY))",
        ("ENOENT",),
        _SAME_UID,
    ),
    Case(
        "namespaces",
        "processes",
        "enter the processes of another session (setns)",
        "call('setns', os.open(f'/proc/{there.other}/ns/pid', os.O_RDONLY), 0x20000000)",
        ("ENOENT",),
        _ROOT,
    ),
)
