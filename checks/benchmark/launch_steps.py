"""The steps of a launch, as `--sandbox-timing=json` reports them."""

from __future__ import annotations

import json
import re
from typing import Final

# It may stand in the middle of a line: at a terminal, what puts that in order comes before it.
_REPORT: Final = re.compile(r'\{"steps": .*\}')


def read(told: str) -> list[tuple[str, float]]:
    """The name and the seconds of each step, in what a launch told. Raises ValueError if it told nothing of them."""
    if not (report := _REPORT.search(told)):
        raise ValueError(f"no steps in {told!r}")
    return [(step["name"], step["seconds"]) for step in json.loads(report[0])["steps"]]
