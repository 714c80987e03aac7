"""The rows of throughput: how fast the output of a session arrives."""

from __future__ import annotations

from typing import Final

from benchmark import streams
from benchmark.by_hand import by_hand
from benchmark.figures import Round
from benchmark.hyperfine import Pace
from benchmark.prepared import Desk
from benchmark.results import Measured, compared

_PIPED: Final = 1_000_000_000  # bytes
_SHOWN: Final = 100_000_000  # bytes
_PROBE: Final = "pi-probe"
_LINE: Final = "a line of text as long as the lines of a terminal are, which is eighty letters"


def throughput_pipe(desk: Desk, pace: Pace) -> Measured:
    """Bytes per second through a pipe."""
    return _throughput(desk, pace, _PIPED, terminal=False)


def throughput_terminal(desk: Desk, pace: Pace) -> Measured:
    """Bytes per second through a terminal."""
    return _throughput(desk, pace.slower(), _SHOWN, terminal=True)


def _throughput(desk: Desk, pace: Pace, size: int, *, terminal: bool) -> Measured:
    """The speed at which a program's output arrives, in a session and in the reference."""
    words = ["sh", "-c", f"yes '{_LINE}' | head -c {size}"]
    rounds = []
    with by_hand(desk) as reference:
        desk.allow(reference.systemd_run)
        commands = [[_PROBE, "exec", *words], reference.launch(terminal=terminal, program=words)]
        # Alternating run by run: the copying speed of a processor changes by half from minute to minute.
        for number in range(pace.rounds * pace.runs):
            forth = 1 if number % 2 == 0 else -1
            rates = [
                streams.rate(desk, command, _LINE.encode(), size, terminal=terminal) for command in commands[::forth]
            ]
            rounds.append(Round(*((rate,) for rate in rates[::forth])))
    return compared("B/s", rounds)
