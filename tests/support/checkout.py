"""Where the tests find the checkout."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

# The directory that holds runner.py, wrapper.py, pi_agent/ and tests/.
TOP: Final = Path(__file__).parents[2]


def importable() -> dict[str, str]:
    """The environment in which another Python finds the same modules as this one."""
    return {"PYTHONPATH": ":".join([str(TOP), *sys.path])}
