"""Each stand-in beside the original: they have to do the same."""

from __future__ import annotations

import contextlib
import enum
import functools
import signal
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pi_agent.python import standard

Log = list[object]


def _passes(log: Log) -> Iterator[str]:
    log.append("enter")
    try:
        yield "value"
    finally:
        log.append("exit")


def _catches(log: Log) -> Iterator[str]:
    try:
        yield "value"
    except (OSError, StopIteration) as error:
        log.append(repr(error))


def _replaces(log: Log) -> Iterator[str]:
    try:
        yield "value"
    except Exception as error:
        raise KeyError("another") from error


def _fails_at_once(log: Log) -> Iterator[str]:
    raise OSError("at once")
    yield "value"


def _fails_at_the_end(log: Log) -> Iterator[str]:
    yield "value"
    raise OSError("at the end")


def _yields_twice(log: Log) -> Iterator[str]:
    try:
        yield "value"
    except OSError:
        pass
    yield "again"
    log.append("went on")


def _stops(log: Log) -> Iterator[str]:
    try:
        yield "value"
    except ValueError:
        return
    raise StopIteration


_GENERATORS = [_passes, _catches, _replaces, _fails_at_once, _fails_at_the_end, _yields_twice, _stops]
_ERRORS = [None, OSError, ValueError, StopIteration, RuntimeError, KeyboardInterrupt, SystemExit]


def _outcome(make: Callable[..., Any], generator: Callable[..., Any], kind: type[BaseException] | None) -> Log:
    """What a block sees and how it ends, with the functions that the traceback names."""
    log: Log = []
    error = None if kind is None else kind("x")
    try:
        with make(generator)(log) as value:
            log.append(value)
            if error is not None:
                raise error
        log.append("after")
    except BaseException as raised:
        log += [raised is error, type(raised), repr(raised.__cause__)]
        place, names = raised.__traceback__, []
        while place is not None:
            names.append(place.tb_frame.f_code.co_name)
            place = place.tb_next
        log.append([name for name in names if name not in ("__enter__", "__exit__")])
    return log


@pytest.mark.parametrize("generator", _GENERATORS)
@pytest.mark.parametrize("error", _ERRORS)
def test_a_context_manager_ends_as_the_original(
    generator: Callable[[Log], Iterator[str]], error: type[BaseException] | None
) -> None:
    assert _outcome(standard.contextmanager, generator, error) == _outcome(contextlib.contextmanager, generator, error)


def test_a_context_manager_keeps_the_name_and_the_docstring_of_its_function() -> None:
    @standard.contextmanager
    def named(first: int, *, second: int) -> Iterator[int]:
        """It is told."""
        yield first + second

    with named(1, second=2) as value:
        assert value == 3
    assert (named.__name__, named.__doc__) == ("named", "It is told.")


@pytest.mark.parametrize("kinds", [(), (OSError,), (KeyError, OSError), (Exception,)])
@pytest.mark.parametrize("error", [None, FileNotFoundError(), KeyError(), ValueError(), KeyboardInterrupt()], ids=repr)
def test_what_is_suppressed_is_what_the_original_suppresses(
    kinds: tuple[type[BaseException], ...], error: BaseException | None
) -> None:
    def outcome(suppress: Callable[..., Any]) -> Log:
        log: Log = []
        try:
            with suppress(*kinds) as value:
                log.append(value)
                if error is not None:
                    raise error
            log.append("after")
        except BaseException as raised:
            log.append(raised)
        return log

    assert outcome(standard.suppress) == outcome(contextlib.suppress)


def test_what_is_cached_is_asked_for_once() -> None:
    def calls(cache: Callable[..., Any]) -> Log:
        log: Log = []

        @cache
        def twice(*values: int) -> tuple[int, ...]:
            log.append(values)
            return values * 2

        assert [twice(), twice(1), twice(1, 2), twice(1), twice()] == [(), (1, 1), (1, 2, 1, 2), (1, 1), ()]
        return log

    assert calls(standard.cache) == calls(functools.cache) == [(), (1,), (1, 2)]


def test_members_of_an_enumeration_are_themselves_and_know_their_names() -> None:
    class Own(standard.Enum):
        """Documented."""

        ONE = "1"
        TWO = "2"

        @property
        def doubled(self) -> str:
            return f"{self.value}{self.value}"

    class Original(enum.Enum):
        ONE = "1"
        TWO = "2"

    assert isinstance(Own.ONE, Own) and Own.ONE is Own.ONE
    # Two names are two members. A plain string would be compared by its value.
    assert len({Own.ONE, Own.TWO}) == 2 and Own.ONE != "1"  # type: ignore[comparison-overlap]
    assert (Own.ONE.name, Own.ONE.value, Own.TWO.doubled) == ("ONE", "1", "22")
    assert repr(Own.ONE).replace("Own", "Original") == repr(Original.ONE)


def test_members_of_an_enumeration_of_numbers_are_compared_and_counted_as_numbers() -> None:
    class Own(standard.IntEnum):
        LOW = 1
        HIGH = 2

    assert Own.LOW < Own.HIGH and max(Own.LOW, Own.HIGH) is Own.HIGH
    assert [*range(3)][Own.HIGH] == 2 == int(Own.HIGH)
    assert isinstance(Own.LOW, Own) and (Own.LOW.name, Own.LOW.value) == ("LOW", 1)


def test_signals_have_the_numbers_and_the_effect_of_the_original() -> None:
    assert standard.signal.SIGTERM == signal.SIGTERM
    blocked = standard.signal.pthread_sigmask(standard.signal.SIG_BLOCK, {signal.SIGUSR1})
    try:
        assert signal.SIGUSR1 in signal.pthread_sigmask(signal.SIG_BLOCK, ())
    finally:
        standard.signal.pthread_sigmask(standard.signal.SIG_SETMASK, blocked)
    assert signal.SIGUSR1 not in signal.pthread_sigmask(signal.SIG_BLOCK, ())
