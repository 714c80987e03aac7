"""The JSON objects in Pi's agent directory that the host and Pi inside both write, and which choices made inside last.

What an agent writes outlives its session here. So a choice that has code run in the next session is dropped.
"""

from __future__ import annotations

from pi_agent.python.records import record
from pi_agent.state import settings_keys
from pi_agent.state.json_merge import Path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Final, TypeAlias

# Whether a choice, which sets the value at a path or removes it (json_merge.REMOVED), may last.
Lasts: TypeAlias = "Callable[[Path, object], bool]"
_COMMAND: Final = "!"


def always(_path: Path, _value: object) -> bool:
    """Every choice may last."""
    return True


def is_taste(path: Path, _value: object) -> bool:
    """Whether the setting neither runs nor redirects anything."""
    return path[0] in settings_keys.TASTES


def has_no_command(_path: Path, value: object) -> bool:
    """Whether no string of a credential is a command: Pi runs what follows a `!`."""
    waiting: list[Any] = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, str) and each.startswith(_COMMAND):
            return False
        waiting += each.values() if isinstance(each, dict) else each if isinstance(each, list) else ()
    return True


def withdraws_trust(_path: Path, value: object) -> bool:
    """Whether the choice can only keep Pi from loading what is in a project."""
    return value is False


@record
class Kind:
    """name: the document's file. depth: levels of objects that merge. lasts: which choices made inside may last.

    stale: seconds after which Pi takes over a lock that nobody renews. patience: seconds that sync waits for a lock
    which is renewed. Pi holds the lock of auth.json while it asks a server for new tokens, and gives up after `stale`.
    """

    name: str
    depth: int
    lasts: Lasts = always
    stale: float = 10.0
    patience: float = 2.0


SETTINGS: Final = Kind("settings.json", 16, is_taste)
# One level: the tokens in a provider's entry belong together.
AUTH: Final = Kind("auth.json", 1, has_no_command, stale=30.0, patience=30.0)
# The same for servers, by name and address.
MCP_AUTH: Final = Kind("mcp-auth.json", 1)
# By directory.
TRUST: Final = Kind("trust.json", 1, withdraws_trust)
DOCUMENTS: Final = (SETTINGS, AUTH, MCP_AUTH, TRUST)
