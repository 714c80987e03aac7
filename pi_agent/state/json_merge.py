"""Merging JSON objects that two sides write: pure functions over parsed JSON.

A difference between two objects is a mapping from a path (a tuple of keys) to the value that stands there
afterwards, or `REMOVED`. Objects are compared key by key down to a depth; everything else, arrays included, is one
value.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final, TypeAlias

Json: TypeAlias = "dict[str, Any]"
Path = tuple[str, ...]
Changes: TypeAlias = "dict[Path, Any]"


class _Removed:
    def __repr__(self) -> str:
        return "REMOVED"


REMOVED: Final = _Removed()
_MISSING: Final = object()


def changes(before: Mapping[str, Any], after: Mapping[str, Any], depth: int) -> Changes:
    """What turns before into after. depth: how many levels of objects to look into; 1 compares whole values."""
    found: Changes = {}
    for key in {**before, **after}:
        old, new = before.get(key, _MISSING), after.get(key, _MISSING)
        if isinstance(new, dict) and (new or isinstance(old, dict)) and depth > 1:
            # A new object is the sum of its values: each of them can be changed by the other side on its own.
            for path, value in changes(old if isinstance(old, dict) else {}, new, depth - 1).items():
                found[(key, *path)] = value
        elif new is _MISSING:
            found[(key,)] = REMOVED
        elif old is _MISSING or not same(old, new):
            found[(key,)] = new
    return found


def same(left: object, right: object) -> bool:
    """Equality as JSON has it: Python calls 1, 1.0 and True equal, a settings file does not."""
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same, left, right))
    return type(left) is type(right) and bool(left == right)


def applied(document: Mapping[str, Any], differences: Changes) -> Json:
    """document with the differences made. A value in the way of a deeper path gives way to an object."""
    result = dict(document)
    for path, value in differences.items():
        _set(result, path, value)
    return result


def _set(target: Json, path: Path, value: object) -> None:
    *parents, last = path
    for key in parents:
        below = target.get(key)
        if not isinstance(below, dict):  # also for a removal: what it emptied is an object still
            below = {}
        target[key] = below = dict(below)
        target = below
    if value is REMOVED:
        target.pop(last, None)
    else:
        target[last] = value


def recorded(known: Changes, news: Changes) -> Changes:
    """known differences brought up to date by newer ones.

    A known one at or below a newer path is forgotten. One above it, which had put something else there or nothing, is
    by now an object with the newer values in it.
    """
    at = set(news)
    above = {prefix for path in at for prefix in _prefixes(path)} - at
    kept = {
        path: {} if path in above else value
        for path, value in known.items()
        if not any(prefix in at for prefix in _prefixes(path))
    }
    return {**kept, **news}


def without(differences: Changes, touched: Iterable[Path]) -> Changes:
    """The differences that lie neither at, nor above, nor below any of the touched paths."""
    at = set(touched)
    above = {prefix for path in at for prefix in _prefixes(path)}
    return {
        path: value
        for path, value in differences.items()
        if path not in above and not any(prefix in at for prefix in _prefixes(path))
    }


def _prefixes(path: Path) -> Iterator[Path]:
    """path itself and every path above it."""
    return (path[:length] for length in range(1, len(path) + 1))


def overridden(document: Mapping[str, Any], override: Mapping[str, Any]) -> Json:
    """document with override laid over it: objects merge, everything else replaces."""
    result = dict(document)
    for key, value in override.items():
        below = result.get(key)
        result[key] = overridden(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return result
