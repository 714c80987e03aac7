"""Tells which of many patterns can match in a directory, from the names in it: most of hundreds cannot.

The answer may name too many patterns, but never too few. A file system may find a name that differs in case, in a
composed letter or in a character that it ignores (name_forms.py), so names are compared in a form in which all of
these are equal. A pure module.
"""

from __future__ import annotations

from pi_agent.sandbox.name_forms import folded

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Final

# Between names in one text: the one character that no name has, apart from a slash.
_END: Final = "\0"
# Below a directory that so many patterns begin with, such as `.config`, a listing costs less than a look for each.
_MANY: Final = 6


class PatternIndex:
    """Patterns prepared for many directories. A pattern is a relative path in which `*` is part of a component.

    all: the patterns as they were given.
    """

    def __init__(self, patterns: Iterable[str]) -> None:
        self.all = tuple(patterns)
        self._always: list[str] = []
        self._plain: dict[str, list[str]] = {}
        # The text to find in the names, each with an _END before and after it, → the patterns that need it.
        self._starred: dict[str, list[str]] = {}
        # What follows the first component of the patterns in `_plain`, made when it is needed.
        self._inner: dict[str, PatternIndex | None] = {}
        for pattern in self.all:
            first = pattern.split("/", 1)[0]
            if not first.isascii():
                self._always.append(pattern)
            elif "*" in first:
                self._starred.setdefault(_longest(first.lower()), []).append(pattern)
            else:
                self._plain.setdefault(first.lower(), []).append(pattern)

    def possible(self, names: Iterable[str], below: Callable[[str], Iterable[str] | None]) -> list[str]:
        """The patterns that may match in a directory with these names.

        below: called with the relative path of a directory in it. Returns the names there, or None if these are not
        known.
        """
        text = _END.join(["", *names, ""])
        text = text.lower() if text.isascii() else _END.join(folded(text))
        found = list(self._always)
        for first in sorted(self._plain.keys() & set(text.split(_END))):
            found += self._group(first, below)
        for part, patterns in self._starred.items():
            if part in text:
                found += patterns
        return found

    def _group(self, folded: str, below: Callable[[str], Iterable[str] | None]) -> list[str]:
        """Of the patterns with the same first component, those that may match."""
        patterns = self._plain[folded]
        if len(patterns) < _MANY:
            return patterns
        if folded not in self._inner:
            split = [pattern.partition("/") for pattern in patterns]
            same = len({first for first, _, _ in split}) == 1 and all(rest for _, _, rest in split)
            self._inner[folded] = PatternIndex(rest for _, _, rest in split) if same else None
        inner, first = self._inner[folded], patterns[0].partition("/")[0]
        names = below(first) if inner is not None else None
        if inner is None or names is None:
            return patterns
        return [f"{first}/{rest}" for rest in inner.possible(names, lambda path: below(f"{first}/{path}"))]


def _longest(component: str) -> str:
    """The longest text that every name of the component has, with the end of the name where it is one."""
    return max((_END + component + _END).split("*"), key=len)
