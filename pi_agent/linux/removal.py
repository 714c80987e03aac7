"""Removing files and directories in a tree that somebody else can write to. No link is followed."""

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
    """Remove what is called name in the open directory, with all below it; links are removed, never followed.

    However deep the tree is: each directory found inside is first moved up beside the others that are to go, so that
    neither the stack nor the number of open files depends on what somebody nested. What vanishes meanwhile is gone.
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
            except OSError as error:  # somebody put something into it meanwhile
                patience -= 1
                if error.errno != errno.ENOTEMPTY or not patience:
                    raise
                waiting.append(going)


def remove_path(top: int, path: str) -> None:
    """`remove` what is at a relative path below the open directory top, if it is still there."""
    folder, _, name = path.rpartition("/")
    with directories.suppress_gone():
        parent = directories.enter_path(top, folder)
        try:
            remove(parent, name)
        finally:
            os.close(parent)


def _emptied(directory: int, name: str) -> list[str]:
    """Remove what is in the directory name, but for directories: they are moved up, and their new names returned."""
    raised = []
    inside = directories.enter(directory, name)
    try:
        for child in os.listdir(inside):
            with directories.suppress_gone():
                if not directories.is_directory(inside, child):
                    os.unlink(child, dir_fd=inside)
                    continue
                os.close(directories.enter(inside, child))  # a directory moves only if it may be written to
                moved = f"{_REMOVING}-{os.urandom(8).hex()}"
                os.rename(child, moved, src_dir_fd=inside, dst_dir_fd=directory)
                raised.append(moved)
    finally:
        os.close(inside)
    return raised
