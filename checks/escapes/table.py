"""All attempts that are records."""

from __future__ import annotations

from typing import Final

from escapes import devices, filesystem, kernel, mounts, network, nix, privilege, processes, secrets
from escapes.case import Case

_GROUPS: Final = (filesystem, mounts, processes, devices, privilege, kernel, secrets, nix, network)
CASES: Final[tuple[Case, ...]] = tuple(case for group in _GROUPS for case in group.CASES)
