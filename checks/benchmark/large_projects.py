"""The rows of large projects: a launch looks for what it must protect, and covers what it finds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from support.commands import inside

from benchmark import figures, hyperfine
from benchmark.hyperfine import CommandError, Pace, Setting
from benchmark.prepared import VARIANT, Desk
from benchmark.results import Measured

_DIRECTORIES: Final = 10_000
_COVERS: Final = 4_000
# In each, a session covers `.git`, `.git/config` and `.git/hooks`. The most that it covers in all is 4,096.
_REPOSITORIES: Final = 1_340
_COUNT: Final = 'grep -c -F " $1/" /proc/self/mountinfo'


def directories(desk: Desk, pace: Pace) -> Measured:
    """A launch in a repository with many directories."""
    desk.large_project("directories", _DIRECTORIES)
    return _launches(desk, pace, "")


def covers(desk: Desk, pace: Pace) -> Measured:
    """A launch in a repository with so many repositories in it that nearly as much is covered as can be."""
    desk.large_project("repositories", _REPOSITORIES)
    seen = inside(_COUNT, str(desk.project), cwd=desk.project, timeout=hyperfine.PATIENCE).ok().text
    if int(seen) < _COVERS:
        raise CommandError([_COUNT], f"only {seen} covers below {desk.project}")
    return _launches(desk, pace, f"covers: {seen}")


def _launches(desk: Desk, pace: Pace, *details: str) -> Measured:
    """The seconds of launches in the large project: one in each round, since each may take half a minute."""
    once = replace(pace.slower(), runs=1)
    rounds = hyperfine.rounds(desk, [[VARIANT]], once, Setting(cwd=str(desk.project)))
    return Measured("s", (), figures.figure(seconds(rounds)), tuple(each for each in details if each))


def seconds(rounds: Sequence[hyperfine.Times]) -> list[float]:
    """The seconds of all runs."""
    return [each for round_ in rounds for runs in round_ for each in runs.seconds]
