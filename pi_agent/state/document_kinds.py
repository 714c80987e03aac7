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
    from typing import Final, TypeAlias

# Whether a choice, which sets the value at a path or removes it (json_merge.REMOVED), may last. The last argument is
# what the host's document has under the first key of the path, or None.
Lasts: TypeAlias = "Callable[[Path, object, object], bool]"
# What of a choice lasts. The arguments are its value, and the same.
Reduced: TypeAlias = "Callable[[object, object], object]"


def always(_path: Path, _value: object, _of_host: object) -> bool:
    """Every choice may last."""
    return True


def whole(value: object, _of_host: object) -> object:
    """All of a choice lasts."""
    return value


def is_taste(path: Path, value: object, of_host: object) -> bool:
    """Whether the setting neither runs nor redirects anything, nor has Pi send reports that the host refuses."""
    if path[0] in settings_keys.CONSENTS and of_host is False and value is not False:
        return False
    return path[0] in settings_keys.TASTES


def is_harmless_login(_path: Path, value: object, of_host: object) -> bool:
    """Whether the login neither runs anything nor sends a secret elsewhere."""
    from pi_agent.state import logins  # most launches have no choice to judge

    return logins.lasts(value, of_host)


def with_discovery_of_host(value: object, of_host: object) -> object:
    """The login of an MCP server, with the addresses that the host's Pi has found out, or none."""
    from pi_agent.state import logins

    return logins.with_discovery_of_host(value, of_host)


def withdraws_trust(_path: Path, value: object, _of_host: object) -> bool:
    """Whether the choice can only keep Pi from loading what is in a project."""
    return value is False


@record
class Kind:
    """name: the document's file. depth: levels of objects that merge. lasts, reduced: which choices made inside may
    last, and what of them does.

    stale: seconds after which Pi takes over a lock that nobody renews. patience: seconds that sync waits for a lock
    which is renewed. Pi holds the lock of auth.json while it asks a server for new tokens, and gives up after `stale`.
    """

    name: str
    depth: int
    lasts: Lasts = always
    reduced: Reduced = whole
    stale: float = 10.0
    patience: float = 2.0


SETTINGS: Final = Kind("settings.json", 16, is_taste)
# One level: the tokens in a provider's entry belong together.
AUTH: Final = Kind("auth.json", 1, is_harmless_login, stale=30.0, patience=30.0)
# The same for servers, by name and address.
MCP_AUTH: Final = Kind("mcp-auth.json", 1, reduced=with_discovery_of_host)
# By directory.
TRUST: Final = Kind("trust.json", 1, withdraws_trust)
DOCUMENTS: Final = (SETTINGS, AUTH, MCP_AUTH, TRUST)
