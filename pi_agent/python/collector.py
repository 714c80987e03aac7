"""Switch the cyclic garbage collector off for work that holds many objects and makes no cycles."""

from __future__ import annotations

import gc

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import ParamSpec, TypeVar

    _P = ParamSpec("_P")
    _R = TypeVar("_R")


def without_collector() -> Callable[[Callable[_P, _R]], Callable[_P, _R]]:
    """A decorator: run the function without the cyclic garbage collector.

    The collector would scan all objects again and again and free nothing.
    """

    def decorated(function: Callable[_P, _R]) -> Callable[_P, _R]:
        def run(*values: _P.args, **named: _P.kwargs) -> _R:
            enabled = gc.isenabled()
            gc.disable()
            try:
                return function(*values, **named)
            finally:
                if enabled:
                    gc.enable()

        return run

    return decorated
