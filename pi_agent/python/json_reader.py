"""Parses JSON as json.loads does, without importing json: that imports re, and both programs would wait for it.

The same C code does the work (CPython's Modules/_json.c, `c_make_scanner`). If it is missing, or the text is not JSON,
json.loads is called instead, so that errors are its own.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Final

_BLANK: Final = " \t\n\r"


class _Context:
    """The scanner's settings: the defaults of json.JSONDecoder."""

    strict = True
    object_hook = None
    object_pairs_hook = None
    parse_float = float
    parse_int = int
    parse_constant = float  # NaN, Infinity, -Infinity


def _scanner() -> Callable[[str, int], tuple[Any, int]] | None:
    """A function that reads one value at an offset of a text, and returns the value and where it ends."""
    try:
        from _json import make_scanner

        return make_scanner(_Context)  # type: ignore[arg-type]
    except (ImportError, AttributeError, TypeError):  # of another Python: json itself knows it
        return None


_scan: Final = _scanner()


def loads(content: bytes) -> Any:
    """Parse JSON in UTF-8. Raises ValueError, or RecursionError if it is nested too deeply."""
    text = content.decode("utf-8", "surrogatepass")
    if _scan is not None:
        try:
            start = len(text) - len(text.lstrip(_BLANK))
            value, end = _scan(text, start)
        except (StopIteration, ValueError):
            pass
        else:
            if not text[end:].strip(_BLANK):
                return value
    import json

    return json.loads(text)
