"""What measures each row: ours beside the reference, and the value that results from both."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from benchmark import large_projects, launching, real_pi, syncing, throughput
from benchmark.launching import Measure

MEASURES: Final[Mapping[str, Measure]] = {
    "launch-pipe": launching.launch(terminal=False),
    "launch-terminal": launching.launch(terminal=True),
    "parallel": launching.parallel,
    "memory": launching.memory,
    "refusal": launching.refusal,
    "end-pipe": launching.end(terminal=False),
    "end-terminal": launching.end(terminal=True),
    "steps": launching.steps,
    "pi-version": real_pi.version,
    "pi-screen": real_pi.first_screen,
    "pi-turn": real_pi.turn,
    "project-directories": large_projects.directories,
    "project-covers": large_projects.covers,
    "sync-nothing": syncing.sync_nothing,
    "sync-some": syncing.sync_some,
    "sync-first": syncing.sync_first,
    "sync-growth": syncing.sync_growth,
    "policy": launching.policy,
    "throughput-pipe": throughput.throughput_pipe,
    "throughput-terminal": throughput.throughput_terminal,
    "context-bubblewrap": launching.beside_bubblewrap,
    "context-sudo": launching.sudo_alone,
}
