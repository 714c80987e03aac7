"""The rows of the real Pi: through the wrapper, beside the same Pi that the same user starts without it."""

from __future__ import annotations

import time
from typing import Final

import pexpect
from support import terminals
from support.commands import as_user
from support.pi_screen import UNWRAPPED

from benchmark import hyperfine
from benchmark.figures import Round
from benchmark.hyperfine import CommandError, Pace
from benchmark.prepared import Desk
from benchmark.results import Measured, compared, timed

_COMMANDS: Final = ("pi", UNWRAPPED)
_VERSION: Final = "--version"
# A request to the scripted model, which answers with a call of the bash tool, and one with its result.
_TURN: Final = ("--no-session", "-p", "run: echo that the tool ran")
_ANSWER: Final = "done: that the tool ran"
# Says at a terminal when it is about to become a command.
_BEGINS: Final = ("sh", "-c", 'echo about to start; exec "$@"', "sh")
_BEGUN: Final = b"about to start"
# The last thing that Pi draws on its first screen: the model's name.
_DRAWN: Final = b"scripted-1"
_END_OF_INPUT: Final = b"\x04"


def version(desk: Desk, pace: Pace) -> Measured:
    """Pi says its version."""
    with desk.pi_unchanged():
        return timed(hyperfine.rounds(desk, [[command, _VERSION] for command in _COMMANDS], pace))


def turn(desk: Desk, pace: Pace) -> Measured:
    """Pi asks the model, runs a tool, and asks again."""
    with desk.pi_unchanged():
        for command in _COMMANDS:
            if (done := as_user(desk.user, command, *_TURN)).text != _ANSWER:
                raise CommandError([command, *_TURN], f"{done.text}\n{done.complaint}")
        return timed(hyperfine.rounds(desk, [[command, *_TURN] for command in _COMMANDS], pace.slower()))


def first_screen(desk: Desk, pace: Pace) -> Measured:
    """Pi draws its first screen. Ours and the other alternate run by run; the first of each does not count."""
    rounds = []
    with desk.pi_unchanged():
        for number in range(1 + pace.rounds * max(1, pace.runs // 2)):
            forth = 1 if number % 2 == 0 else -1
            took = [_drawn(desk, command) for command in _COMMANDS[::forth]]
            rounds.append(Round(*((each,) for each in took[::forth])))
    return compared("s", rounds[1:])


def _drawn(desk: Desk, command: str) -> float:
    """Seconds from the start of a command to the first screen."""
    screen = terminals.terminal(desk.user, *_BEGINS, command)
    try:
        screen.expect_exact(_BEGUN)
        since = time.perf_counter()
        screen.expect_exact(_DRAWN)
        took = time.perf_counter() - since
    except (pexpect.EOF, pexpect.TIMEOUT) as error:
        raise CommandError([command], str(screen.before)) from error
    screen.send(_END_OF_INPUT)
    if (status := terminals.ended(screen)) != 0:
        raise CommandError([command], f"status {status}")
    return took
