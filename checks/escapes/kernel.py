"""Attempts on parts of the kernel that have been used to leave sandboxes.

The filter denies a call before the kernel examines it. So a denial differs from a call that fails because of its
arguments, as the controls do deliberately to change nothing, and from a call that this kernel lacks (ENOSYS).
"""

from __future__ import annotations

import platform
import signal
from typing import Final

from escapes.case import WORKS, Case, Control, grouped


def _call(name: str, tries: str, code: str, who: str, *gives: str, control: str = "") -> Case:
    return Case(name, "kernel", tries, code, ("EPERM",), Control(who, control, gives or (WORKS,)))


_SPACES: Final = {
    "user": 0x10000000,
    "mount": 0x00020000,
    "process": 0x20000000,
    "network": 0x40000000,
    "ipc": 0x08000000,
    "hostname": 0x04000000,
    "cgroup": 0x02000000,
    "time": 0x00000080,
}

# `mov eax, 20; int 0x80; ret`: getpid(2) in i386 numbering. Filters for x86-64 numbers do not apply to it.
_I386: Final = r"""
import ctypes, mmap
room = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
room.write(b"\xb8\x14\x00\x00\x00\xcd\x80\xc3")
function = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(room)))
found(function() == os.getpid())
"""
# Only this architecture offers another set of calls.
_FOREIGN: Final = (
    Case(
        "foreign-call",
        "kernel",
        "a system call of another architecture (i386's, by int 0x80)",
        _I386,
        (f"signal {signal.SIGSYS.value}",),
        Control("agent"),
    ),
)

CASES: Final = grouped(
    "kernel",
    *(_FOREIGN if platform.machine() == "x86_64" else ()),
    *(
        _call(f"unshare-{name}", f"make a {name} namespace (unshare)", f"call('unshare', {flag})", "root")
        for name, flag in _SPACES.items()
    ),
    Case(
        "lease",
        "kernel",
        "have everybody wait who opens a file of the project (fcntl, F_SETLEASE)",
        "import fcntl\nfile = os.open('leased', os.O_CREAT | os.O_RDWR)\n"
        "fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_WRLCK)",
        ("EPERM",),
        Control("agent"),
    ),
    Case(
        "clone3",
        "kernel",
        "make a user namespace (clone3)",
        "child = call('clone3', struct.pack('8Q', 0x10000000, 0, 0, 0, 17, 0, 0, 0), 64)\n"
        "child or os._exit(0)\nos.waitpid(child, 0)",
        # No filter can inspect its arguments, so systemd reports that it does not exist, and glibc falls back to clone.
        ("ENOSYS", "EPERM"),
        Control("root"),
    ),
    Case(
        "unshare-program",
        "kernel",
        "unshare(1)",
        "program('unshare', '--user', '--map-root-user', 'true')",
        ("exit 1: .*not permitted",),
        Control("root"),
    ),
    _call("keyring-add", "add a key to a keyring", "call('add_key', b'user', b'checks', b'x', 1, -2)", "agent"),
    _call(
        "keyring-request",
        "request a key",
        "call('request_key', b'user', b'checks-absent', None, 0)",
        "agent",
        "ENOKEY",
    ),
    _call("keyring-session", "use the session's keyring (keyctl)", "call('keyctl', 0, -3, 1)", "agent"),
    _call("io-uring", "io_uring", "call('io_uring_setup', 1, bytes(120))", "agent"),
    _call(
        "io-uring-register",
        "io_uring, by a ring of somebody else's",
        "call('io_uring_register', 0, 0, None, 0)",
        "agent",
        "EBADF",
        "ENOTSUP",
    ),
    _call("bpf", "load a BPF program", "call('bpf', 5, bytes(128), 128)", "root", "EINVAL", "E2BIG"),
    _call("bpf-map", "make a BPF map", "call('bpf', 0, struct.pack('IIII', 2, 4, 4, 1), 16)", "root"),
    _call(
        "perf",
        "watch the processor (perf_event_open)",
        "call('perf_event_open', bytes(128), 0, -1, -1, 0)",
        "root",
        WORKS,
        "ENOENT",
        "EINVAL",
        "E2BIG",
    ),
    _call("userfaultfd", "handle page faults (userfaultfd)", "call('userfaultfd', 0)", "root"),
    _call("module-load", "load a module", "call('init_module', b'not a module', 12, b'')", "root", "ENOEXEC", "ENOSYS"),
    _call(
        "module-load-file", "load a module from a file", "call('finit_module', -1, b'', 0)", "root", "EBADF", "ENOSYS"
    ),
    _call("module-remove", "remove a module", "call('delete_module', b'checks_absent', 0)", "root", "ENOENT", "ENOSYS"),
    _call(
        "kexec", "load another kernel (kexec_load)", "call('kexec_load', 0, 99, None, 0)", "root", "EINVAL", "ENOSYS"
    ),
    _call(
        "kexec-file",
        "load another kernel (kexec_file_load)",
        "call('kexec_file_load', -1, -1, 0, None, 99)",
        "root",
        "EINVAL",
        "EBADF",
        "ENOSYS",
    ),
    _call("reboot", "reboot", "call('reboot', 0, 0, 0, None)", "root", "EINVAL"),
    _call("swap", "add swap", "call('swapon', b'/checks-absent', 0)", "root", "ENOENT"),
    _call("accounting", "account processes (acct)", "call('acct', b'/checks-absent/file')", "root", "ENOENT"),
    _call(
        "quota",
        "change quotas",
        "call('quotactl', 0x800002 << 8, b'/checks-absent', 0, None)",
        "root",
        "ENOENT",
        "EINVAL",
        "ENODEV",
        "ENOTBLK",
    ),
    _call(
        "time", "set the clock (settimeofday)", "call('settimeofday', struct.pack('qq', 0, -1), None)", "root", "EINVAL"
    ),
    _call(
        "time-clock",
        "set the clock (clock_settime)",
        "call('clock_settime', 0, struct.pack('qq', 0, -1))",
        "root",
        "EINVAL",
    ),
    _call(
        "time-adjust",
        "turn the clock (adjtimex)",
        "call('adjtimex', struct.pack('I', 0x4000) + bytes(204))",
        "root",
        WORKS,
        "EINVAL",
        control="call('adjtimex', bytes(208))",
    ),
    _call(
        "time-adjust-clock",
        "turn the clock (clock_adjtime)",
        "call('clock_adjtime', 0, struct.pack('I', 0x4000) + bytes(204))",
        "root",
        WORKS,
        "EINVAL",
        control="call('clock_adjtime', 0, bytes(208))",
    ),
    _call("hostname", "rename the machine", "call('sethostname', b'checks', 6)", "root"),
    _call("domain-name", "rename its domain", "call('setdomainname', b'checks', 6)", "root"),
    _call(
        "kernel-log", "read the kernel's log (syslog)", "call('syslog', 3, ctypes.create_string_buffer(64), 64)", "root"
    ),
    _call("fanotify", "watch all files (fanotify)", "call('fanotify_init', 0, 0)", "root"),
    _call("personality", "change how programs are run (personality)", "call('personality', 0x0040000)", "agent"),
    _call(
        "realtime",
        "run before all others (SCHED_FIFO)",
        "os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))",
        "root",
    ),
    _call("hang-up", "hang up the terminal (vhangup)", "call('vhangup')", "root"),
    _call("move-pages", "move the memory of processes", "call('move_pages', 0, 0, None, None, None, 0)", "agent"),
    _call(
        "migrate-pages",
        "move all memory of processes",
        "call('migrate_pages', 0, 64, bytes(8), bytes(8))",
        "agent",
        WORKS,
        "EINVAL",
    ),
    _call(
        "take-descriptor",
        "take an open file of a process",
        "call('pidfd_getfd', os.pidfd_open(os.getpid()), 0, 0)",
        "agent",
    ),
)
