"""What a launch needs of contextlib, enum, functools and signal, without all that these import.

contextlib, enum and functools import collections and one another, and signal imports enum: every launch would wait 5 ms
for them (docs/performance.md). Each piece here behaves as the original of the same name, as far as its docstring says;
type checkers see the original.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as signal
    from contextlib import contextmanager as contextmanager
    from contextlib import suppress as suppress
    from enum import Enum as Enum
    from enum import IntEnum as IntEnum
    from functools import cache as cache
else:
    # The functions and numbers of signal, which itself makes enumerations of the numbers.
    import _signal as signal

    class suppress:
        """contextlib.suppress: end the block at one of these exceptions, and go on after it."""

        def __init__(self, *kinds):
            self._kinds = kinds

        def __enter__(self):
            return None

        def __exit__(self, kind, error, place):
            return kind is not None and issubclass(kind, self._kinds)

    def contextmanager(function):
        """contextlib.contextmanager: a context manager of a generator that yields once. It is no decorator."""

        def managed(*values, **named):
            return _Generated(function(*values, **named))

        managed.__doc__, managed.__name__, managed.__wrapped__ = function.__doc__, function.__name__, function
        return managed

    class _Generated:
        def __init__(self, steps):
            self._steps = steps

        def __enter__(self):
            return next(self._steps)

        def __exit__(self, kind, error, place):
            try:
                if error is None:
                    next(self._steps)
                else:
                    self._steps.throw(error)
            except StopIteration as end:
                return end is not error
            except BaseException as raised:
                # Python makes a RuntimeError of a StopIteration that leaves a generator (PEP 479).
                made = isinstance(error, StopIteration) and isinstance(raised, RuntimeError)
                if raised is error or (made and raised.__cause__ is error):
                    error.__traceback__ = place
                    return False
                raise
            self._steps.close()
            raise RuntimeError("the generator of a context manager yielded twice")

    def cache(function):
        """functools.cache, for values in order: call once for each combination of them."""
        known = {}

        def cached(*values):
            if values not in known:
                known[values] = function(*values)
            return known[values]

        return cached

    class _Members:
        """Makes members of a class's names in capitals. Each has its name and value."""

        def __init_subclass__(cls) -> None:
            for name, value in [*vars(cls).items()]:
                if name.isupper():
                    member = int.__new__(cls, value) if issubclass(cls, int) else object.__new__(cls)
                    member.name, member.value = name, value
                    setattr(cls, name, member)

        def __repr__(self):
            return f"<{type(self).__name__}.{self.name}: {self.value!r}>"

    class Enum(_Members):
        """enum.Enum, without iteration and look-up by value."""

    class IntEnum(int, _Members):
        """enum.IntEnum, without iteration and look-up by value."""
