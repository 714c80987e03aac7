"""orjson, where it is needed and only there: with all that it imports it takes as long as Python's start."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType


def orjson() -> ModuleType:
    """The module. Raises ImportError where a part of it, or of what it needs, cannot be read."""
    # It takes for granted that it gets these when it is loaded, and crashes where a disk that fails does not give one.
    import dataclasses  # noqa: F401
    import datetime  # noqa: F401
    import enum  # noqa: F401
    import json  # noqa: F401
    import uuid  # noqa: F401
    import zoneinfo  # noqa: F401

    import orjson

    return orjson
