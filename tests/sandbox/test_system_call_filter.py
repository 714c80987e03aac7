"""The system call filter, run by an interpreter in this file and, loaded by setpriv(1), by the kernel."""

from __future__ import annotations

import fcntl
import os
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from pi_agent.sandbox import system_call_filter

X86_64, AARCH64 = 0xC000003E, 0xC00000B7
OPEN, OPENAT, OPENAT_AARCH64, READ = 2, 257, 56, 0
TMPFILE, CREAT = os.O_TMPFILE, os.O_CREAT
ALLOWED, REFUSED, PRETENDED = 0x7FFF0000, 0x00050001, 0x00050000
PRLIMIT, SETRLIMIT, PRLIMIT_AARCH64, SETRLIMIT_AARCH64 = 302, 160, 261, 164
CORE, NOFILE = 4, 7
LEASE = fcntl.F_SETLEASE


def answer(audit: int, number: int, *arguments: int) -> int:
    """The filter's result for a system call, by the kernel's rules for classic BPF."""
    padded = [*arguments, *[0] * (6 - len(arguments))]
    data = struct.pack("<IIQ6Q", number, audit, 0, *padded)
    code = list(struct.iter_unpack("<HBBI", system_call_filter.program()))
    place, value = 0, 0
    while True:
        operation, yes, no, operand = code[place]
        place += 1
        if operation == 0x20:
            (value,) = struct.unpack_from("<I", data, operand)
        elif operation == 0x54:
            value &= operand
        elif operation == 0x15:
            place += yes if value == operand else no
        elif operation == 0x45:
            place += yes if value & operand else no
        else:
            assert operation == 0x06
            return int(operand)


@pytest.mark.parametrize("mode", [0o4755, 0o2755, 0o6000, 0o2745, 0o7777])
@pytest.mark.parametrize("flags", [TMPFILE | os.O_WRONLY, TMPFILE | os.O_RDWR | os.O_EXCL, TMPFILE | os.O_CLOEXEC])
def test_no_file_without_a_name_gets_a_setuid_or_setgid_bit(flags: int, mode: int) -> None:
    assert answer(X86_64, OPEN, 0xDEAD, flags, mode) == REFUSED
    assert answer(X86_64, OPEN | 0x40000000, 0xDEAD, flags, mode) == REFUSED, "x32"
    assert answer(X86_64, OPENAT, 0, 0xDEAD, flags, mode) == REFUSED
    assert answer(AARCH64, OPENAT_AARCH64, 0, 0xDEAD, flags, mode) == REFUSED
    # The kernel reads 32 bits of both. The bits above change nothing.
    assert answer(X86_64, OPENAT, 0, 0xDEAD, flags | 1 << 40, mode | 1 << 40) == REFUSED


@pytest.mark.parametrize("pointer", [0xDEAD, 0xDEAD << 32, 1, 1 << 63])
def test_the_limit_of_core_dumps_stays_as_it_is(pointer: int) -> None:
    assert answer(X86_64, PRLIMIT, 0, CORE, pointer, 0) == PRETENDED
    assert answer(X86_64, PRLIMIT, 0, CORE | 1 << 40, pointer, 0) == PRETENDED, "the kernel reads 32 bits"
    assert answer(X86_64, PRLIMIT, 0, CORE, pointer, pointer) == REFUSED, "nothing would be in old"
    assert answer(X86_64, SETRLIMIT, CORE, pointer) == PRETENDED
    assert answer(AARCH64, PRLIMIT_AARCH64, 7, CORE, pointer, 0) == PRETENDED
    assert answer(AARCH64, SETRLIMIT_AARCH64, CORE, pointer) == PRETENDED


def test_limits_can_be_read_and_others_set() -> None:
    assert answer(X86_64, PRLIMIT, 0, CORE, 0, 0xDEAD) == ALLOWED
    assert answer(X86_64, PRLIMIT, 0, NOFILE, 0xDEAD, 0) == ALLOWED
    assert answer(X86_64, SETRLIMIT, NOFILE, 0xDEAD) == ALLOWED


@pytest.mark.parametrize(
    ("audit", "number"), [(X86_64, 72), (AARCH64, 25), (0x40000003, 55), (0x40000003, 221), (0x40000028, 221)]
)
def test_nobody_is_kept_waiting_by_a_lease(audit: int, number: int) -> None:
    assert answer(audit, number, 3, LEASE, 1) == REFUSED
    assert answer(audit, number, 3, LEASE | 1 << 40, 1) == REFUSED, "the kernel reads 32 bits"
    for command in (fcntl.F_GETFL, fcntl.F_SETLK, fcntl.F_GETLEASE, 1030, 1031, 1033):
        assert answer(audit, number, LEASE, command, LEASE) == ALLOWED


def test_everything_else_is_left_to_the_other_filters() -> None:
    assert answer(X86_64, OPENAT, 0, 0xDEAD, TMPFILE | os.O_RDWR, 0o1777) == ALLOWED
    assert answer(X86_64, OPENAT, 0, 0xDEAD, CREAT | os.O_RDWR, 0o4755) == ALLOWED, "RestrictSUIDSGID= refuses it"
    assert answer(X86_64, OPENAT, 0, 0xDEAD, os.O_DIRECTORY, 0o6000) == ALLOWED, "no file is made: no mode counts"
    assert answer(X86_64, READ, TMPFILE, TMPFILE, TMPFILE, 0o6000) == ALLOWED
    assert answer(AARCH64, OPENAT, 0, 0xDEAD, TMPFILE, 0o6000) == ALLOWED, "there it is another call"


def test_what_cannot_be_judged_is_refused() -> None:
    assert answer(0x80000016, READ) == REFUSED, "s390x"
    assert all(
        answer(each.audit, READ if each.openat != READ else 1) == ALLOWED for each in system_call_filter.ARCHITECTURES
    )


# prctl(2): PR_SET_NO_NEW_PRIVS is 38, PR_SET_SECCOMP with SECCOMP_MODE_FILTER is 22 with 2; struct sock_fprog.
TRY = """
import ctypes, fcntl, os, resource, sys
code = sys.stdin.buffer.read()
if code:
    held = ctypes.create_string_buffer(code)
    class Program(ctypes.Structure):
        _fields_ = [("length", ctypes.c_ushort), ("code", ctypes.c_void_p)]
    program = Program(len(code) // 8, ctypes.addressof(held))
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.prctl(38, 1, 0, 0, 0) == 0 == libc.prctl(22, 2, ctypes.byref(program), 0, 0), ctypes.get_errno()
os.close(os.open(sys.argv[1], os.O_TMPFILE | os.O_RDWR, 0o600))
try:
    os.open(sys.argv[1], os.O_TMPFILE | os.O_RDWR, 0o2755)
except PermissionError:
    print("refused")
before = resource.getrlimit(resource.RLIMIT_CORE)
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
if resource.getrlimit(resource.RLIMIT_CORE) == before != (0, 0):
    print("kept")
leased = os.open(sys.argv[1] + "/leased", os.O_CREAT | os.O_RDWR)
try:
    fcntl.fcntl(leased, fcntl.F_SETLEASE, fcntl.F_WRLCK)
except PermissionError:
    print("free")
"""


def test_the_kernel_takes_the_filter_and_follows_it(tmp_path: Path) -> None:
    def tried(code: bytes) -> bytes:
        words = [sys.executable, "-I", "-c", TRY, str(tmp_path)]
        return subprocess.run(words, input=code, capture_output=True, check=True).stdout

    built = subprocess.run([sys.executable, "-I", system_call_filter.__file__], capture_output=True, check=True).stdout
    assert tried(built) == b"refused\nkept\nfree\n"
    assert tried(b"") == b"", "the control"
