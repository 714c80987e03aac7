"""Constants that the NixOS module and the programs share, read from shared.json (by Nix: nix/shared.nix).

RESERVED_PATHS: places that the sandbox provides itself; no project root may overlap one. NETWORKS, ON_SELF_RUNNING: the
values of `sandbox.network` and `sandbox.onSelfRunning`. TERMINAL_VARIABLES: the caller's variables that sudo keeps and
that enter a session. They describe a terminal, a language or a time zone; none selects code or is a path that root
follows.
"""

from __future__ import annotations

import os

from pi_agent.python import json_reader

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

with open(os.path.join(os.path.dirname(os.path.dirname(__file__)), "shared.json"), "rb") as _file:
    _shared = json_reader.loads(_file.read())

NETWORKS: Final[tuple[str, ...]] = tuple(_shared["networks"])
ON_SELF_RUNNING: Final[tuple[str, ...]] = tuple(_shared["onSelfRunning"])
RESERVED_PATHS: Final[tuple[str, ...]] = tuple(_shared["reservedPaths"])
TERMINAL_VARIABLES: Final = frozenset(name for group in _shared["terminalVariables"].values() for name in group)
