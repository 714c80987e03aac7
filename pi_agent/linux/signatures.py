"""Signatures: the identity and version of a file, as far as the kernel vouches for them."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

# tmpfs and btrfs keep times whose nanoseconds exceed the 64 bits of a JSON number in orjson.
_LIMIT: Final = 2**63 - 1
# inode, size in bytes, mtime and ctime in nanoseconds (inode(7)). Changes whenever the content may have changed: the
# owner of a file can set its mtime, but not its ctime.
Signature = tuple[int, int, int, int]


def signature_of(status: os.stat_result) -> Signature:
    """The signature of a stat result."""
    mtime = status.st_mtime_ns
    if not -_LIMIT <= mtime <= _LIMIT:
        mtime = min(max(mtime, -_LIMIT), _LIMIT)
    return (status.st_ino, status.st_size, mtime, status.st_ctime_ns)
