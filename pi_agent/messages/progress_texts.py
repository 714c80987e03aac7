"""What a progress bar says. A launch imports this only where there is something to show."""

from __future__ import annotations

from typing import Final

COPYING_CONFIGURATION: Final = "copying your configuration"
COPYING_TRANSCRIPTS: Final = "copying transcripts"

_MIB: Final = 1024**2


def line(what: str, bar: str, files: int, total: int, size: int) -> str:
    """what: the work, one of the texts above. files: done, of total. size: done, in bytes."""
    return f"{what} [{bar}] {files} of {total} files, {size // _MIB} MiB"
