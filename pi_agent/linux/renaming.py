"""Renames a name in an open directory without ever replacing another (renameat2(2), RENAME_NOREPLACE)."""

from __future__ import annotations

import os
import stat

from pi_agent.python.c_library import checked, libc

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

_NOREPLACE: Final = 1


def rename(directory: int, name: str, new: str) -> None:
    """Rename name to new, both in the open directory. A link itself is renamed, never followed.

    Raises OSError: EEXIST if new exists, EINVAL if the file system cannot promise that it does not.
    """
    checked(libc.renameat2(directory, os.fsencode(name), directory, os.fsencode(new), _NOREPLACE))


def make_writable(directory: int) -> None:
    """Let the owner enter and change the open directory (O_PATH). Raises OSError if we are not its owner."""
    mode = stat.S_IMODE(os.fstat(directory).st_mode)
    os.chmod(f"/proc/self/fd/{directory}", mode | stat.S_IWUSR | stat.S_IXUSR)
