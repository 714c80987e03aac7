"""A refusal: a launch or a command that ends by our decision, with an exit status and two texts.

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
    """status: the exit status. what: one line that says what is wrong. remedy: lines that say what to do."""

    def __init__(self, status: int, what: str, remedy: str) -> None:
        super().__init__(what)
        self.status = status
        self.what = what
        self.remedy = remedy
