"""The rows of sync: launches with a tree to sync, minus launches without it, against what copies such trees."""

from __future__ import annotations

import shutil
import statistics
from collections.abc import Sequence
from typing import Final

from support.installed import FACTS

from benchmark import figures, hyperfine
from benchmark.figures import Round
from benchmark.hyperfine import Pace, Setting, Times
from benchmark.prepared import SYNCED, VARIANT, Desk, synced_state
from benchmark.results import Measured, compared

FILES: Final = 10_000
_SIZES: Final = (100, 1_000, 10_000, 100_000)


def sync_nothing(desk: Desk, pace: Pace) -> Measured:
    """Sync with nothing to do."""
    desk.tree(FILES)
    return _synced(hyperfine.rounds(desk, _beside(_rsync(desk)), pace))


def sync_some(desk: Desk, pace: Pace) -> Measured:
    """Sync with one file in a hundred changed."""
    desk.tree(FILES)
    return _synced(hyperfine.rounds(desk, _beside(_rsync(desk)), pace, Setting(prepare=desk.changing(FILES // 100))))


def sync_first(desk: Desk, pace: Pace) -> Measured:
    """Sync with everything to do."""
    desk.tree(FILES)
    copy = desk.private / "copy"
    forget = desk.program("forget", f"#!/bin/sh\nexec rm -rf {' '.join(map(str, [*synced_state(desk.user), copy]))}\n")
    desk.allow(forget)
    commands = _beside(["cp", "-a", str(desk.configuration), str(copy)])
    setting = Setting(prepare=(FACTS["sudo"], "-n", "--", str(forget)))
    return _synced(hyperfine.rounds(desk, commands, pace.slower(), setting))


def sync_growth(desk: Desk, pace: Pace) -> Measured:
    """Sync with nothing to do, for trees of all sizes."""
    ours, theirs, details = [], [], []
    for size in _SIZES:
        for path in synced_state(desk.user):
            shutil.rmtree(path, ignore_errors=True)
        desk.tree(size)
        commands = _beside(_rsync(desk))
        for command in commands:
            desk.in_project(*command)
        found = _synced(hyperfine.rounds(desk, commands, pace.slower() if size > FILES else pace))
        ours.append((size, figures.ours(found.rounds)))
        theirs.append((size, figures.theirs(found.rounds)))
        details.append(
            f"{size:,} files: {ours[-1][1].median * 1000:.1f} ms ({ours[-1][1].low * 1000:.1f}–"
            f"{ours[-1][1].high * 1000:.1f}), rsync {theirs[-1][1].median * 1000:.1f} ms"
        )
    points = [(float(size), each.median) for size, each in ours if each.median > 0]
    # Over the whole range, the exponent is too low if the start costs more than few files. The last step hides nothing.
    whole, last = figures.exponent(points), figures.exponent(points[-2:])
    rsync = figures.exponent([(float(size), each.median) for size, each in theirs])
    details.append(f"exponent: {whole:.2f} over all, {last:.2f} for the last step; rsync {rsync:.2f} over all")
    return Measured("s", (), figures.figure([max(whole, last)]), tuple(details))


def _rsync(desk: Desk) -> list[str]:
    return ["rsync", "-a", "--delete", f"{desk.configuration}/", f"{desk.private}/rsync/"]


def _beside(reference: list[str]) -> list[list[str]]:
    """The commands to compare: a launch with the tree, a launch without it, and the reference for the difference."""
    return [[SYNCED], [VARIANT], reference]


def _synced(rounds: Sequence[Times]) -> Measured:
    """The result of rounds of `_beside`: sync is the difference between the launches with and without the tree."""
    found = []
    for whole, without, theirs in rounds:
        launching = statistics.median(without.seconds)
        found.append(Round(tuple(each - launching for each in whole.seconds), theirs.seconds))
    return compared("s", found)
