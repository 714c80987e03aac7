"""Imports orjson only where it is needed: with its own imports, it takes as long as the start of Python."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType


def orjson() -> ModuleType:
    """The module. Raises ImportError if a part of it, or of what it imports, cannot be read."""
    # orjson does not check these imports when it is loaded, and crashes if a failing disk does not deliver one. Python
    # makes an empty package of one whose first file cannot be seen. So this imports names, not modules.
    try:
        from dataclasses import dataclass  # noqa: F401
        from datetime import datetime  # noqa: F401
        from enum import EnumMeta  # noqa: F401
        from json import JSONDecodeError  # noqa: F401
        from uuid import UUID  # noqa: F401
        from zoneinfo import ZoneInfo  # noqa: F401

        from orjson import dumps, loads  # noqa: F401
    except AttributeError as error:  # one of the packages above is empty
        raise ImportError(str(error)) from error
    import orjson

    return orjson
