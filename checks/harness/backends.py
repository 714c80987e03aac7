"""The available backends, and the default."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from . import nspawn, qemu
from .protocols import Backend

DEFAULT: Final = "nspawn"
ALL: Final[Mapping[str, Backend]] = {DEFAULT: nspawn, "qemu": qemu}
