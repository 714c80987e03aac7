"""The backends there are, and the one that is taken where nobody chooses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from . import nspawn, qemu
from .protocols import Backend

DEFAULT: Final = "nspawn"
ALL: Final[Mapping[str, Backend]] = {DEFAULT: nspawn, "qemu": qemu}
