"""What a check expects: each function raises CheckFailedError if it is not so."""

from __future__ import annotations

import difflib
import json


class CheckFailedError(Exception):
    """A check failed; the text says what was wanted and what was found."""


def same(wanted: object, got: object) -> None:
    """Expect two JSON values to be equal; the error shows the difference."""
    if wanted != got:
        lines = difflib.unified_diff(pretty(wanted), pretty(got), "wanted", "got", lineterm="", n=1)
        raise CheckFailedError("\n".join(lines))


def contains(text: str, *parts: str) -> None:
    """Expect a text to contain each of the parts."""
    for part in parts:
        if part not in text:
            raise CheckFailedError(f"{part!r} is not in:\n{text.strip()}")


def pretty(value: object) -> list[str]:
    """A JSON value as lines, for a readable comparison."""
    return json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False).splitlines()
