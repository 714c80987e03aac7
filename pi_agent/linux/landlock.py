"""Whether the kernel offers Landlock, and in which version (landlock(7)).

glibc has no function for these system calls. Their numbers are the same on all architectures that we know.
"""

from __future__ import annotations

from pi_agent.python.c_library import c_long, c_size_t, c_uint, libc

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

_CREATE_RULESET: Final = 444
_VERSION: Final = 1  # LANDLOCK_CREATE_RULESET_VERSION


def version() -> int:
    """The version of Landlock; 0 if the kernel lacks it, or does not have it switched on (`lsm=`)."""
    return max(0, int(libc.syscall(c_long(_CREATE_RULESET), None, c_size_t(0), c_uint(_VERSION))))
