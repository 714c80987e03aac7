"""Messages on standard error."""

from __future__ import annotations

import os


def say(command: str, text: str) -> None:
    """Write text to standard error, with the command's name before its first line. A lost terminal is not an error."""
    first, *rest = text.split("\n")
    lines = [f"{command}: {first}", *(f"    {line}" for line in rest)]
    try:
        os.write(2, ("\n".join(lines) + "\n").encode("utf-8", "surrogateescape"))
    except OSError:
        pass
