"""What a file system that ignores case, or some characters, may take a name for. Pure functions.

ext4's casefold, HFS+ (CVE-2014-9390), ZFS with normalization=formKD.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

# Full-width forms, which ZFS may take for their ASCII originals.
_WIDE: Final = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}


def folded(text: str) -> tuple[str, str]:
    """The text in small ASCII letters: a name that may be taken for an ASCII one becomes that one, in one or the other.

    Two ways, because upper and lower case do not pair up beyond ASCII: ß, ſ and ı.
    """
    wide = text.translate(_WIDE)
    first, second = (each.encode("ascii", "ignore").decode() for each in (wide.casefold(), wide.upper().lower()))
    return first, second
