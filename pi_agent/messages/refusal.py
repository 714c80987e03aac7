"""Everything pi-agent says when it does not go on: the exit status, what is wrong, what to do.

Every sentence a user can meet stands here, so that it can be read, tested and documented in one place. A function
takes the facts and returns the `Refusal` to raise; it never acts. Names that a user or the agent chose go through
`shown` first: a terminal obeys what is printed on it.

Exit statuses follow sysexits(3).
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

EX_USAGE: Final = 64

EX_DATAERR: Final = 65

EX_UNAVAILABLE: Final = 69

EX_SOFTWARE: Final = 70

EX_NOPERM: Final = 77

EX_CONFIG: Final = 78


class Refusal(Exception):
    """A launch that ends before Pi starts, by our decision.

    status: the exit status of the command. what: one line saying what is wrong. remedy: lines saying what to do.
    """

    def __init__(self, status: int, what: str, remedy: str) -> None:
        super().__init__(what)
        self.status = status
        self.what = what
        self.remedy = remedy
