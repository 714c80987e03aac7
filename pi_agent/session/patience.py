"""Signals while a session is reviewed: they end nothing but the question.

Whoever presses Ctrl-C once more while Pi ends, or closes the terminal, would otherwise end the look as well, and never
learn what the session has left.
"""

from __future__ import annotations

from pi_agent.python.standard import contextmanager, signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, Final

_HELD: Final = (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGTERM)


class Interrupted(Exception):
    """A signal has come while the question was open."""


class Signals:
    """While entered, signals end nothing but the question. A stop is ignored: the shell's prompt would come too early.

    A context manager.
    """

    def __init__(self) -> None:
        self._asking = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Signals:
        for number in _HELD:
            self._before[number] = signal.signal(number, self._came)
        self._before[signal.SIGTSTP] = signal.signal(signal.SIGTSTP, signal.SIG_IGN)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @contextmanager
    def interrupting(self) -> Iterator[None]:
        """While entered, a signal raises Interrupted."""
        self._asking = True
        try:
            yield
        finally:
            self._asking = False

    def _came(self, _number: int, _frame: object) -> None:
        if self._asking:
            self._asking = False
            raise Interrupted
