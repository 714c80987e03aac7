"""Where the tests find what they are about."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

# The folder that holds runner.py, wrapper.py, pi_agent/ and tests/.
TOP: Final = Path(__file__).parents[2]


def importable() -> dict[str, str]:
    """The environment in which another Python finds what this one does."""
    return {"PYTHONPATH": ":".join([str(TOP), *sys.path])}
