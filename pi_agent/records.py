"""Frozen records: what `dataclass(frozen=True, slots=True)` gives, as far as the rooms of a launch need it.

The standard library's dataclasses import inspect and compile the methods of each class from text, which would take
longer than the rest of our Python together, and that twice a launch (docs/performance.md). Type checkers read a record
as they read a dataclass (typing.dataclass_transform, PEP 681).
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TypeVar, dataclass_transform

    _T = TypeVar("_T")

    @dataclass_transform(frozen_default=True)
    def record(cls: type[_T]) -> type[_T]:
        """Make a class of annotated names a record: immutable, compared and hashed by its values.

        Values are given in order or by name; what the class sets a name to is its default. Changing or adding one
        raises AttributeError, a wrong number or name TypeError.
        """

else:

    def record(cls):  # noqa: ANN001, ANN201  # told to type checkers above
        names = tuple(cls.__annotations__)
        own = {name: value for name, value in vars(cls).items() if name not in ("__dict__", "__weakref__")}
        defaults = {name: own.pop(name) for name in names if name in own}
        return type(cls)(cls.__name__, cls.__bases__, {**_METHODS, **own, "__slots__": names, "_defaults": defaults})


def _init(self: Any, *given: object, **named: object) -> None:
    names = self.__slots__
    if len(given) != len(names) or named:
        rest = {**self._defaults, **named}
        wrong = (rest.keys() - {*names}) | (named.keys() & {*names[: len(given)]})
        missing = [name for name in names[len(given) :] if name not in rest]
        if wrong or missing or len(given) > len(names):
            which = ", ".join(missing or sorted(wrong))
            raise TypeError(f"{type(self).__name__} takes {len(names)} values, each once; look at: {which}")
        given = (*given, *(rest[name] for name in names[len(given) :]))
    for name, value in zip(names, given, strict=True):
        object.__setattr__(self, name, value)


def values(self: Any) -> tuple[Any, ...]:
    """What a record is made of, in order."""
    return tuple([getattr(self, name) for name in self.__slots__])


def _same(self: Any, other: object) -> Any:
    return values(self) == values(other) if type(self) is type(other) else NotImplemented


def _hash(self: Any) -> int:
    return hash(values(self))


def _shown(self: Any) -> str:
    return f"{type(self).__name__}({', '.join(f'{name}={getattr(self, name)!r}' for name in self.__slots__)})"


def _frozen(self: Any, name: str, *_: object) -> None:
    raise AttributeError(f"{type(self).__name__}.{name} cannot be changed")


_METHODS = {
    "__init__": _init,
    "__eq__": _same,
    "__hash__": _hash,
    "__repr__": _shown,
    "__setattr__": _frozen,
    "__delattr__": _frozen,
}
