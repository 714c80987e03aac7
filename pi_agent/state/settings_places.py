"""The places that settings name for code and instructions: `"skills": ["~/mine"]`. Pure functions.

Pi resolves them inside: `~` is the agent's home, and a relative path begins at Pi's directory. Below Pi's directory,
what they name is mirrored like `skills`. Elsewhere in the agent's home there is only what a session has left there, so
such a place is left out. docs/settings.md and dist/core/package-manager.js of Pi have the syntax.
"""

from __future__ import annotations

import os

from pi_agent.linux import paths
from pi_agent.messages import notices, reasons
from pi_agent.state.pi_files import SHARED_SKILLS
from pi_agent.state.settings_keys import PLACES
from pi_agent.state.user_state import PI_AGENT_DIRECTORY

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any, Final

_TOLD_AT_MOST: Final = 20
_PACKAGE: Final = "source"
_FILE: Final = "file://"
_NOT_LOCAL: Final = ("npm:", "git:", "github:", "http:", "https:", "ssh:", "builtin:")
# These begin a pattern, which chooses among what is found elsewhere.
_PATTERN: Final = ("!", "+", "-")


def usable(settings: Mapping[str, Any], home: str) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The settings without places that only the agent can have filled, and these places. home: the agent's."""
    result, strays = dict(settings), dict[str, None]()
    for key in PLACES:
        if not isinstance(settings.get(key), list):
            continue
        result[key] = []
        for entry in settings[key]:
            place = _place(entry)
            if place is not None and _is_stray(place, home):
                strays[place] = None
            else:
                result[key].append(entry)
    return result, tuple(strays)


def notices_of(strays: Sequence[str], file: str) -> tuple[str, ...]:
    """What the user is told of these places, which a file names."""
    told = [*strays[:_TOLD_AT_MOST]]
    if len(strays) > _TOLD_AT_MOST:
        told.append(f"and {len(strays) - _TOLD_AT_MOST} more")
    return tuple(notices.left_out(f"{file}: {place}", reasons.ONLY_INSIDE) for place in told)


def mirrored(settings: Mapping[str, Any], home: str) -> frozenset[str]:
    """The names at the top of Pi's directory, below which the settings name a place."""
    places = {_place(entry) for key in PLACES for entry in _listed(settings.get(key))}
    return frozenset(name for place in places if place is not None and (name := _top(place, home)))


def _listed(entries: object) -> Iterator[Any]:
    yield from entries if isinstance(entries, list) else ()


def _place(entry: object) -> str | None:
    """The path that an entry names; None if it is a pattern, or names a package that Pi installs."""
    if isinstance(entry, dict):
        entry = entry.get(_PACKAGE)
    if not isinstance(entry, str):
        return None
    place = entry.strip()
    return None if place.startswith((*_PATTERN, *_NOT_LOCAL)) else place


def _resolved(place: str, home: str) -> str:
    if place.startswith(_FILE):
        place = place[len(_FILE) :]
    elif place == "~" or place.startswith("~/"):
        place = home + place[1:]
    return os.path.normpath(os.path.join(home, PI_AGENT_DIRECTORY, place))


def _top(place: str, home: str) -> str:
    """The name at the top of Pi's directory below which the place is; "" if it is elsewhere."""
    directory = f"{home}/{PI_AGENT_DIRECTORY}/"
    resolved = _resolved(place, home)
    return resolved[len(directory) :].partition("/")[0] if resolved.startswith(directory) else ""


def _is_stray(place: str, home: str) -> bool:
    """Whether the place is in the agent's home, or above it, but nothing that is mirrored."""
    if _top(place, home):
        return False
    resolved = _resolved(place, home)
    if paths.contains(f"{home}/{SHARED_SKILLS}", resolved):
        return False
    return paths.contains(home, resolved) or paths.contains(resolved, home)
