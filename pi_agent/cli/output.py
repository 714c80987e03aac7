"""Standard output of the commands: text that is safe on a terminal, or JSON."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any, Final

import orjson

_BROKEN_PIPE: Final = 128 + 13  # as if SIGPIPE had ended us
_UNITS: Final = ("B", "KiB", "MiB", "GiB", "TiB")


def lines(text: Sequence[str]) -> None:
    """Write lines. Foreign text in them is escaped (messages/quoting.py)."""
    _write(b"".join(line.encode("utf-8", "backslashreplace") + b"\n" for line in text))


def json(value: Any) -> None:
    """Write a value as indented JSON. Strings may have come from os.fsdecode."""
    _write(orjson.dumps(_clean(value), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Write rows below a head, in columns as wide as their cells; the last column is not padded."""
    *widths, _ = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    widths.append(0)
    lines(["  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)) for row in (head, *rows)])


def size(number: float) -> str:
    """A number of bytes for people to read."""
    unit = 0
    while number >= 1024 and unit < len(_UNITS) - 1:
        number /= 1024
        unit += 1
    return f"{number:.1f} {_UNITS[unit]}" if unit and number < 10 else f"{number:.0f} {_UNITS[unit]}"


def duration(seconds: float) -> str:
    """A time in seconds for people to read, in the largest unit that fits."""
    for length, name in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= length:
            return f"{int(seconds // length)} {name}"
    return f"{max(0, int(seconds))} s"


def _clean(value: Any) -> Any:
    """The value with what JSON cannot hold, undecodable bytes, replaced."""
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    if isinstance(value, dict):
        return {_clean(key): _clean(each) for key, each in value.items()}
    return [_clean(each) for each in value] if isinstance(value, list) else value


def _write(content: bytes) -> None:
    """Write to standard output. If the reader is gone, as `head` may be, end the process without a message."""
    sys.stdout.flush()
    view = memoryview(content)
    try:
        while view:
            view = view[os.write(1, view) :]
    except BrokenPipeError:
        sys.exit(_BROKEN_PIPE)
