"""The one place that turns exceptions into exit statuses and messages.

A user sees one line saying what is wrong and lines saying what to do; never a traceback.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    pass


def say(command: str, text: str) -> None:
    """Write text to standard error, its first line behind the command's name. A lost terminal is not an error."""
    first, *rest = text.split("\n")
    lines = [f"{command}: {first}", *(f"    {line}" for line in rest)]
    try:
        os.write(2, ("\n".join(lines) + "\n").encode("utf-8", "surrogateescape"))
    except OSError:
        pass
