"""The page of `--sandbox-explain`: its titles, its labels and what it says about what it lists."""

from __future__ import annotations

import shlex
from typing import Final

# -- titles

VISIBLE: Final = "Visible inside"
CONFIGURATION: Final = "Configuration"
ENVIRONMENT: Final = "Environment, by source"
PROPERTIES: Final = "Unit properties"
NOTICES: Final = "Notices"


def title(command: str, directory: str) -> str:
    """directory: the current one, empty where that does not exist any more."""
    return f"{command} in {directory or 'a directory that no longer exists'}"


# -- labels, at most 17 characters

ALLOWED: Final = "allowed"
REFUSED: Final = "refused"
REMEDY: Final = "what to do"
RUNS_AS: Final = "runs as"
ROOT: Final = "root"
READ_WRITE: Final = "read-write"
READ_ONLY: Final = "read-only"
HOST: Final = "from the host"
NIX: Final = "from Nix"
VARIABLES: Final = "variables"
FILES: Final = "files"
OF_AGENTS: Final = "of agents"


def state_changes(verb: str) -> str:
    """verb: `make` or `write`."""
    return f"state, to {verb}"


# -- the verdict


def allowed(user: str, root: str) -> str:
    return f"for {user}, project root {root}"


def runs_as(agent: str, unit: str, unit_slice: str) -> str:
    return f"{agent}, in {unit} of {unit_slice}"


def refused(status: int, what: str) -> str:
    return f"with exit status {status}: {what}"


def root(configured: str, path: str | None, why: str | None, *, chosen: bool) -> str:
    """path: where it really is, None where that is not known. why: the reason that it cannot be used. chosen: it holds
    the current directory."""
    where = "" if path in (None, configured) else f" ({path})"
    holds = ", contains this directory" if chosen else ""
    return f"{configured}{where}{holds}" + ("" if why is None else f": cannot be used, {why}")


# -- mounts


def mount(target: str, source: str, *, mapped: bool) -> str:
    """target: padded to the width of its column."""
    where = "" if target.rstrip() == source else f"  shows {source}"
    return f"{target}{where}{'  owners mapped' if mapped else ''}".rstrip()


# -- files that belong to an agent on disk


def of_agents(count: int, first: list[str]) -> str:
    """first: the first of the paths, of count."""
    more = f" and {count - len(first)} more" if count > len(first) else ""
    return f"belong to an agent on disk, so no session can change them: {', '.join(first)}{more}"


NOT_ALL_SEEN: Final = "not every directory of the project could be searched for files of agents"


def give_to_user(agent: str, user: str, root: str) -> str:
    """The command for an administrator that gives the agent's files below root to the user."""
    return f"sudo chown --recursive --no-dereference --from={agent} {shlex.quote(user)}: {shlex.quote(root)}"


# -- configuration

NO_HOST: Final = "nothing"
NO_SETTINGS: Final = "no settings"
NO_CHANGE: Final = "no change"
NOTHING: Final = "nothing"


def env_file(path: str, source: str, number: int) -> str:
    return f"{path} ({source}): {number}"


def sets(place: str) -> str:
    return f"sets {place}"


def removes(place: str) -> str:
    return f"removes {place}"


def kept_aside(why: str) -> str:
    return f"is kept aside ({why})"


def counted(verb: str, count: int, first: list[str]) -> str:
    """first: the first of the names, of count."""
    more = count - len(first)
    return f"{verb.replace('_', ' ')} {count}: {', '.join(first)}" + (f" and {more} more" if more else "")
