"""Frozen records: what a launch needs of `dataclass(frozen=True, slots=True)`.

The standard library's dataclasses import inspect and compile the methods of each class from text; named tuples compile
too. Either would take longer than the rest of our Python, twice per launch (docs/performance.md). Type checkers treat a
record as a dataclass (typing.dataclass_transform, PEP 681).
"""

from __future__ import annotations

from _operator import itemgetter  # operator itself is Python around it

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TypeVar, dataclass_transform

    _T = TypeVar("_T")

    @dataclass_transform(frozen_default=True)
    def record(cls: type[_T]) -> type[_T]:
        """Make a class of annotated names a record: immutable, compared and hashed by its values.

        Takes values in order or by name. The value that the class gives a name is its default. A record is a tuple, so
        many of them are cheap. Changing one raises AttributeError; a wrong number or name of values raises TypeError.
        """

else:

    def record(cls):  # noqa: ANN001, ANN201  # typed above, for type checkers
        names = tuple(cls.__annotations__)
        own = {name: value for name, value in vars(cls).items() if name not in ("__dict__", "__weakref__")}
        defaults = {name: own.pop(name) for name in names if name in own}
        places = {name: property(itemgetter(place)) for place, name in enumerate(names)}
        members = {**own, **places, "__slots__": (), "_fields": names, "_defaults": defaults}
        return type(cls)(cls.__name__, (tuple,), {"__new__": _new, "__repr__": _shown, **members})


def values(record: Any) -> tuple[Any, ...]:
    """The values of a record, in order."""
    return tuple(record)


def _new(cls: Any, *given: object, **named: object) -> Any:
    if named or len(given) != len(cls._fields):
        given = _completed(cls, given, named)
    return tuple.__new__(cls, given)


def _completed(cls: Any, given: tuple[object, ...], named: dict[str, object]) -> tuple[object, ...]:
    first, rest = cls._fields[: len(given)], cls._fields[len(given) :]
    known = {**cls._defaults, **named}
    wrong = [*(name for name in named if name not in rest), *(name for name in rest if name not in known)]
    if wrong or len(given) > len(first):
        raise TypeError(f"{cls.__name__} takes {len(cls._fields)} values, each once; look at: {', '.join(wrong)}")
    return (*given, *(known[name] for name in rest))


def _shown(self: Any) -> str:
    return f"{type(self).__name__}({', '.join(f'{name}={getattr(self, name)!r}' for name in self._fields)})"
