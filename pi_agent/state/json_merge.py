"""Merges JSON objects that two sides write. Pure functions over parsed JSON.

A difference between two objects maps a path (a tuple of keys) to the value that it has afterwards, or to `REMOVED`.
Objects are compared key by key, down to a depth. Everything else, including an array, is one value.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
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
    """What turns before into after. depth: how many levels of objects to compare; 1 compares whole values."""
    found: Changes = {}
    for key in {**before, **after}:
        old, new = before.get(key, _MISSING), after.get(key, _MISSING)
        if isinstance(new, dict) and (new or isinstance(old, dict)) and depth > 1:
            # A new object counts as its separate values, so that the other side can change each of them on its own.
            for path, value in changes(old if isinstance(old, dict) else {}, new, depth - 1).items():
                found[(key, *path)] = value
        elif new is _MISSING:
            found[(key,)] = REMOVED
        elif old is _MISSING or not same(old, new):
            found[(key,)] = new
    return found


def same(left: object, right: object) -> bool:
    """Equality in terms of JSON: Python considers 1, 1.0 and True equal, a settings file does not."""
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same, left, right))
    return type(left) is type(right) and bool(left == right)


def applied(document: Mapping[str, Any], differences: Changes) -> Json:
    """document with the differences applied. A value in the way of a deeper path is replaced by an object."""
    result = dict(document)
    for path, value in differences.items():
        _set(result, path, value)
    return result


def _set(target: Json, path: Path, value: object) -> None:
    *parents, last = path
    for key in parents:
        below = target.get(key)
        if not isinstance(below, dict):  # also for a removal: the object that it emptied still exists
            below = {}
        target[key] = below = dict(below)
        target = below
    if value is REMOVED:
        target.pop(last, None)
    else:
        target[last] = value


def recorded(known: Changes, news: Changes) -> Changes:
    """known differences, updated by newer ones.

    A known difference at or below a newer path is dropped. A known difference above a newer path, whatever it put
    there, has become an object that holds the newer values.
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
    """The differences that lie neither at, nor above, nor below a touched path."""
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
    """document with override applied: objects merge, everything else is replaced."""
    result = dict(document)
    for key, value in override.items():
        below = result.get(key)
        result[key] = overridden(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return result
