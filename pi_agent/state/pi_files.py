"""How the files of Pi's agent directory are treated, by their top-level names."""

from __future__ import annotations

from pi_agent.linux import directories
from pi_agent.state.documents import AUTH, SETTINGS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

_MERGED: Final = frozenset({SETTINGS.name, AUTH.name})
_PIS_OWN: Final = frozenset(
    {"sessions", "bin", "npm", "git", "trust.json", "models-store.json", "pi-debug.log", "pi-crash.log"}
)
# environment/dotenv_file.py writes this file.
_ELSEWHERE: Final = frozenset({".env"})
_MIRRORED: Final = frozenset({"extensions", "skills", "prompts", "themes", "keybindings.json", "models.json"})


def is_pis_own(name: str) -> bool:
    """Whether Pi owns this top-level name at run time. It is then neither copied nor removed."""
    return name in _PIS_OWN or name.endswith(".lock")


def is_mirrored(name: str) -> bool:
    """Whether this top-level name holds code or instructions, and must match the host exactly.

    This includes the leftovers of a killed sync, which the host does not have.
    """
    return name in _MIRRORED or name.endswith(".md") or name.startswith(directories.OURS)


def is_skipped(name: str) -> bool:
    """Whether this top-level name is not copied as a file: Pi's own, a document that merges, or written elsewhere."""
    return name in _MERGED or name in _ELSEWHERE or is_pis_own(name)
