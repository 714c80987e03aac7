"""Whether systemd can enforce IPAddressDeny= here: it says nothing where it cannot.

It attaches a BPF program to the unit's cgroup, which takes the unified hierarchy and a kernel that lets it load one
(systemd.resource-control(5); systemd's bpf_firewall_supported). Runs as root; the program that is tried is attached to
nothing.
"""

from __future__ import annotations

import ctypes
import os
import struct
from typing import Final

_UNIFIED: Final = "/sys/fs/cgroup/cgroup.controllers"
# The number of bpf(2): most architectures share the later one.
_CALLS: Final = {"x86_64": 321, "aarch64": 280, "riscv64": 280, "loongarch64": 280}
_PROG_LOAD: Final = 5
_CGROUP_SKB: Final = 8
_ATTRIBUTES: Final = 128  # bytes
# r0 = 1; exit: every packet may pass.
_PROGRAM: Final = struct.pack("<BBhiBBhi", 0xB7, 0, 0, 1, 0x95, 0, 0, 0)


def missing() -> str | None:
    """What is missing to enforce it; None where nothing is, "" where that cannot be told."""
    if not os.path.exists(_UNIFIED):
        return "there is no unified cgroup hierarchy (cgroup v2)"
    number = _CALLS.get(os.uname().machine)
    if number is None:
        return ""
    libc = ctypes.CDLL(None, use_errno=True)
    program, license_ = ctypes.create_string_buffer(_PROGRAM, len(_PROGRAM)), ctypes.create_string_buffer(b"GPL")
    told = struct.pack("<IIQQ", _CGROUP_SKB, 2, ctypes.addressof(program), ctypes.addressof(license_))
    attributes = ctypes.create_string_buffer(told.ljust(_ATTRIBUTES, b"\0"), _ATTRIBUTES)
    descriptor = libc.syscall(number, _PROG_LOAD, attributes, _ATTRIBUTES)
    if descriptor < 0:
        return f"no BPF program for cgroups can be loaded ({os.strerror(ctypes.get_errno())})"
    os.close(descriptor)
    return None
