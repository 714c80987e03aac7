"""A system call filter for the one case that systemd's filters cannot express.

`RestrictSUIDSGID=` prevents the creation of setuid and setgid files by every system call but one: open(2) of a file
without a name (`O_TMPFILE`), which linkat(2) then names. This filter refuses that call. It is built once, with the
programs, and setpriv(1) loads it before anything else runs inside.

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
_NUMBER: Final = 0
_ARCHITECTURE: Final = 4
_ARGUMENTS: Final = 16
# asm-generic/fcntl.h: O_TMPFILE without the O_DIRECTORY that it includes; inode(7): setuid and setgid.
_NAMELESS: Final = 0o20000000
_SETID: Final = 0o6000
# A number with this bit is an x32 system call, with the architecture of x86-64.
_X32: Final = 0x40000000


@dataclass(frozen=True, slots=True)
class Architecture:
    """audit: the AUDIT_ARCH_ number (linux/audit.h). open, openat: system call numbers, open None if missing."""

    audit: int
    openat: int
    open: int | None = None


# All are little-endian. openat2 takes its arguments by a pointer, which no filter can follow; systemd refuses it
# altogether.
ARCHITECTURES: Final = (
    Architecture(0xC000003E, 257, 2),  # x86-64
    Architecture(0xC00000B7, 56),  # aarch64
    Architecture(0x40000003, 295, 5),  # i386
    Architecture(0x40000028, 322, 5),  # arm
    Architecture(0xC00000F3, 56),  # riscv64
    Architecture(0xC0000102, 56),  # loongarch64
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
    # The index of the flags among the arguments; the mode comes next.
    for number, flags in ((architecture.open, 1), (architecture.openat, 2)):
        if number is not None:
            judged = _judged(flags)
            block += [(_EQUAL, 0, len(judged), number), *judged]
    return [*block, (_RETURN, 0, 0, _ALLOW)]


def _judged(flags: int) -> list[_Instruction]:
    return [
        _load(_ARGUMENTS + 8 * flags),
        (_ANY_BIT, 0, 3, _NAMELESS),
        _load(_ARGUMENTS + 8 * (flags + 1)),
        (_ANY_BIT, 0, 1, _SETID),
        (_RETURN, 0, 0, _REFUSE),
        (_RETURN, 0, 0, _ALLOW),
    ]


def _load(offset: int) -> _Instruction:
    return (_LOAD, 0, 0, offset)


if __name__ == "__main__":
    sys.stdout.buffer.write(program())
