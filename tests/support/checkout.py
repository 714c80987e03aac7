"""Where the tests find what they are about."""

from __future__ import annotations

from pathlib import Path
from typing import Final

# The folder that holds runner.py, wrapper.py, pi_agent/ and tests/.
TOP: Final = Path(__file__).parents[2]
