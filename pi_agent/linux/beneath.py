"""Opens paths below a directory in one system call, through no symbolic link and never outside (openat2(2)).

`paths.walk_inside` follows links that stay inside, and takes several calls for each component. This is for paths that a
search has found component by component, and so have no link in them: if one has been put there since, it is refused.
"""

from __future__ import annotations

import os

from pi_agent.python.c_library import Structure, byref, c_uint64, checked, libc, sizeof

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

_OPENAT2: Final = 437  # the number of the call on every architecture; glibc has no function for it
_RESOLVE_NO_MAGICLINKS: Final = 0x02
_RESOLVE_NO_SYMLINKS: Final = 0x04
_RESOLVE_BENEATH: Final = 0x08


class _How(Structure):
    """struct open_how of openat2(2)."""

    _fields_ = (("flags", c_uint64), ("mode", c_uint64), ("resolve", c_uint64))


def opened(top: int, path: str, flags: int) -> int:
    """Open the path below the open directory top; the empty path is top itself. Returns a descriptor.

    flags: as of open(2). Raises OSError; ELOOP if a component is a link, EXDEV for a way out.
    """
    how = _How(
        flags=flags | os.O_CLOEXEC | os.O_NOFOLLOW,
        resolve=_RESOLVE_BENEATH | _RESOLVE_NO_SYMLINKS | _RESOLVE_NO_MAGICLINKS,
    )
    return checked(libc.syscall(_OPENAT2, top, os.fsencode(path) or b".", byref(how), sizeof(how)))
