"""Remove files and directories in a tree that others can write to. No symbolic link is followed."""

from __future__ import annotations

import errno
import os

from pi_agent.linux import directories

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

_ATTEMPTS: Final = 100
_REMOVING: Final = f"{directories.OURS}removing"


def remove(directory: int, name: str) -> None:
    """Remove name from the open directory, with everything below it. Links are removed, never followed.

    Works at any depth: each directory found inside is first moved up to the others that are to be removed. So neither
    the stack nor the number of open files depends on the nesting. Entries may vanish meanwhile. Raises OSError.
    """
    waiting = [name]
    patience = _ATTEMPTS
    while waiting:
        going = waiting.pop()
        with directories.suppress_gone():
            if not directories.is_directory(directory, going):
                os.unlink(going, dir_fd=directory)
                continue
            waiting += _emptied(directory, going)
            try:
                os.rmdir(going, dir_fd=directory)
            except OSError as error:  # somebody added an entry meanwhile
                patience -= 1
                if error.errno != errno.ENOTEMPTY or not patience:
                    raise
                waiting.append(going)


def remove_path(top: int, path: str) -> None:
    """`remove` what is at a relative path below the open directory top, if it still exists."""
    folder, _, name = path.rpartition("/")
    with directories.suppress_gone():
        parent = directories.enter_path(top, folder)
        try:
            remove(parent, name)
        finally:
            os.close(parent)


def _emptied(directory: int, name: str) -> list[str]:
    """Remove everything in the directory name except directories. Move these up, and return their new names."""
    raised = []
    inside = directories.enter(directory, name)
    try:
        for child in os.listdir(inside):
            with directories.suppress_gone():
                if not directories.is_directory(inside, child):
                    os.unlink(child, dir_fd=inside)
                    continue
                os.close(directories.enter(inside, child))  # moving a directory requires write permission on it
                moved = f"{_REMOVING}-{os.urandom(8).hex()}"
                os.rename(child, moved, src_dir_fd=inside, dst_dir_fd=directory)
                raised.append(moved)
    finally:
        os.close(inside)
    return raised
