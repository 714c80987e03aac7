"""orjson, where it is needed and only there: with all that it imports it takes as long as Python's start."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType


def orjson() -> ModuleType:
    """The module. Raises ImportError where a part of it, or of what it needs, cannot be read."""
    # It takes for granted that it gets these when it is loaded, and crashes where a disk that fails does not give one.
    # Of a package whose first file cannot be seen Python makes an empty one: so names are asked for, not modules.
    try:
        from dataclasses import dataclass  # noqa: F401
        from datetime import datetime  # noqa: F401
        from enum import EnumMeta  # noqa: F401
        from json import JSONDecodeError  # noqa: F401
        from uuid import UUID  # noqa: F401
        from zoneinfo import ZoneInfo  # noqa: F401

        from orjson import dumps, loads  # noqa: F401
    except AttributeError as error:  # an empty package below one of those
        raise ImportError(str(error)) from error
    import orjson

    return orjson
