"""What the module and the programs both know, read from shared.json, which Nix reads as well (nix/shared.nix).

RESERVED_PATHS: places that the sandbox provides itself, so that no project root may overlap one. NETWORKS: what
`sandbox.network` can be. TERMINAL_VARIABLES: the caller's variables that enter a session, and that sudo keeps: they
describe a terminal, a language or a time zone; none chooses code, or is a path that root follows.
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
RESERVED_PATHS: Final[tuple[str, ...]] = tuple(_shared["reservedPaths"])
TERMINAL_VARIABLES: Final = frozenset(name for group in _shared["terminalVariables"].values() for name in group)
