"""Which errors of system calls mean what (errno(3))."""

from __future__ import annotations

import errno

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

# The machine's fault, wherever it comes from; never a sign that something does not exist.
MACHINE_FAULTS: Final = frozenset(
    {errno.EIO, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOSPC, errno.EROFS}
)


def raise_machine_fault(error: OSError) -> None:
    """Raise the error again if it is the machine's fault: what the machine fails to show may well exist."""
    if error.errno in MACHINE_FAULTS:
        raise error


def reason(error: OSError) -> str:
    """The error in words, for a message."""
    return error.strerror or str(error)
