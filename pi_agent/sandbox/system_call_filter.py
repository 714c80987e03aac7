"""A system call filter for the cases that systemd's filters cannot express.

`RestrictSUIDSGID=` prevents the creation of setuid and setgid files by every system call but one: open(2) of a file
without a name (`O_TMPFILE`), which linkat(2) then names. This filter refuses that call.

`LimitCORE=1` prevents core dumps, and a limit of 0 does not: a pipe in core_pattern ignores it (core(5)). Programs that
hold secrets set 0, and some end if they cannot. So this filter leaves the limit as it is, and reports success.

A lease (fcntl(2), F_SETLEASE) has everybody who opens the file wait up to 45 seconds, on the host as well, and root too
who prepares the next session. Inside, what belongs to the host user seems to be the agent's, who may so lease it. This
filter refuses it.

The filter is built once, with the programs, and setpriv(1) loads it before anything else runs inside.

The format is classic BPF, as seccomp(2) takes it: a list of `struct sock_filter` that inspects `struct seccomp_data`.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

# linux/bpf_common.h: load a word, `and` it, jump if equal, jump if any bit is set, return.
_LOAD: Final = 0x20
_AND: Final = 0x54
_EQUAL: Final = 0x15
_ANY_BIT: Final = 0x45
_RETURN: Final = 0x06
# linux/seccomp.h.
_ALLOW: Final = 0x7FFF0000
_REFUSE: Final = 0x00050000 | 1  # SECCOMP_RET_ERRNO with EPERM, as systemd's filters return
_PRETEND: Final = 0x00050000  # SECCOMP_RET_ERRNO without an error: the call does nothing, and succeeds
_NUMBER: Final = 0
_ARCHITECTURE: Final = 4
_ARGUMENTS: Final = 16
# asm-generic/fcntl.h: O_TMPFILE without the O_DIRECTORY that it includes; inode(7): setuid and setgid.
_NAMELESS: Final = 0o20000000
_SETID: Final = 0o6000
# asm-generic/resource.h.
_RLIMIT_CORE: Final = 4
# fcntl(2).
_SET_LEASE: Final = 1024
_ANY: Final = 0xFFFFFFFF
# A number with this bit is an x32 system call, with the architecture of x86-64.
_X32: Final = 0x40000000


@dataclass(frozen=True, slots=True)
class Architecture:
    """audit: the AUDIT_ARCH_ number (linux/audit.h). The others: system call numbers, None if missing."""

    audit: int
    openat: int
    prlimit: int
    fcntl: int
    open: int | None = None
    setrlimit: int | None = None
    fcntl64: int | None = None


# All are little-endian. openat2 takes its arguments by a pointer, which no filter can follow; systemd refuses it
# altogether.
ARCHITECTURES: Final = (
    Architecture(0xC000003E, 257, 302, 72, 2, 160),  # x86-64
    Architecture(0xC00000B7, 56, 261, 25, setrlimit=164),  # aarch64
    Architecture(0x40000003, 295, 340, 55, 5, 75, 221),  # i386
    Architecture(0x40000028, 322, 369, 55, 5, 75, 221),  # arm
    Architecture(0xC00000F3, 56, 261, 25, setrlimit=164),  # riscv64
    Architecture(0xC0000102, 56, 261, 25),  # loongarch64
)
_Instruction = tuple[int, int, int, int]


def program(architectures: Sequence[Architecture] = ARCHITECTURES) -> bytes:
    """The filter. It refuses every system call of an architecture that is not listed, because it cannot judge those."""
    code: list[_Instruction] = [_load(_ARCHITECTURE)]
    for each in architectures:
        block = _block(each)
        code += [(_EQUAL, 0, len(block), each.audit), *block]
    code.append((_RETURN, 0, 0, _REFUSE))
    return b"".join(struct.pack("<HBBI", *instruction) for instruction in code)


def _block(architecture: Architecture) -> list[_Instruction]:
    """The instructions for the system calls of one architecture."""
    block = [_load(_NUMBER), (_AND, 0, 0, ~_X32 & 0xFFFFFFFF)]
    for number, judged in (
        (architecture.open, _judged_open(1)),
        (architecture.openat, _judged_open(2)),
        (architecture.setrlimit, _judged_setrlimit()),
        (architecture.prlimit, _judged_prlimit()),
        (architecture.fcntl, _judged_fcntl()),
        (architecture.fcntl64, _judged_fcntl()),
    ):
        if number is not None:
            block += [(_EQUAL, 0, len(judged), number), *judged]
    return [*block, (_RETURN, 0, 0, _ALLOW)]


def _judged_open(flags: int) -> list[_Instruction]:
    """flags: the index of the flags among the arguments; the mode comes next."""
    return [
        _load(_ARGUMENTS + 8 * flags),
        (_ANY_BIT, 0, 3, _NAMELESS),
        _load(_ARGUMENTS + 8 * (flags + 1)),
        (_ANY_BIT, 0, 1, _SETID),
        (_RETURN, 0, 0, _REFUSE),
        (_RETURN, 0, 0, _ALLOW),
    ]


def _judged_setrlimit() -> list[_Instruction]:
    """setrlimit(resource, new)."""
    return [
        _load(_ARGUMENTS),
        (_EQUAL, 0, 1, _RLIMIT_CORE),
        (_RETURN, 0, 0, _PRETEND),
        (_RETURN, 0, 0, _ALLOW),
    ]


def _judged_prlimit() -> list[_Instruction]:
    """prlimit(pid, resource, new, old): what also asks for the old limit is refused, since nothing would answer it."""
    new, old = _ARGUMENTS + 16, _ARGUMENTS + 24
    return [
        _load(_ARGUMENTS + 8),
        (_EQUAL, 0, 9, _RLIMIT_CORE),
        # Pointers, of two words each.
        _load(new),
        (_ANY_BIT, 2, 0, _ANY),
        _load(new + 4),
        (_ANY_BIT, 0, 5, _ANY),
        _load(old),
        (_ANY_BIT, 4, 0, _ANY),
        _load(old + 4),
        (_ANY_BIT, 2, 0, _ANY),
        (_RETURN, 0, 0, _PRETEND),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _REFUSE),
    ]


def _judged_fcntl() -> list[_Instruction]:
    """fcntl(file, command, …)."""
    return [
        _load(_ARGUMENTS + 8),
        (_EQUAL, 0, 1, _SET_LEASE),
        (_RETURN, 0, 0, _REFUSE),
        (_RETURN, 0, 0, _ALLOW),
    ]


def _load(offset: int) -> _Instruction:
    return (_LOAD, 0, 0, offset)


if __name__ == "__main__":
    sys.stdout.buffer.write(program())
