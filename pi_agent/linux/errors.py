"""Everything pi-agent says when it does not go on: the exit status, what is wrong, what to do.

Every sentence a user can meet stands here, so that it can be read, tested and documented in one place. A function
takes the facts and returns the `Refusal` to raise; it never acts. Names that a user or the agent chose go through
`shown` first: a terminal obeys what is printed on it.

Exit statuses follow sysexits(3).
"""

from __future__ import annotations

import errno

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

# What the machine, not we, must be blamed for, wherever it comes from.
MACHINE_FAULTS: Final = frozenset(
    {errno.EIO, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOSPC, errno.EROFS}
)
