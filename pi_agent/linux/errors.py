"""The meaning of system call errors (errno(3))."""

from __future__ import annotations

import errno

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

# Faults of the machine, whichever call reports them. They never mean that something does not exist.
MACHINE_FAULTS: Final = frozenset(
    {errno.EIO, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOSPC, errno.ENOSYS, errno.EROFS}
)


def raise_machine_fault(error: OSError) -> None:
    """Raise the error again if it is a fault of the machine: what the machine cannot show may still exist."""
    if error.errno in MACHINE_FAULTS:
        raise error


def reason(error: OSError) -> str:
    """The error as text, for a message."""
    return error.strerror or str(error)
