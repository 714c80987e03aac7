"""Notices: what a user is told on standard error while the launch goes on.

Each function takes the facts and returns the sentence. Names that a user or the agent chose are escaped.
"""

from __future__ import annotations

from pi_agent.messages.quoting import escaped

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Final

_LISTED_AT_MOST: Final = 20


# -- the project


def owners_not_mapped(root: str) -> str:
    return (
        f"{escaped(root)} is on a file system that cannot map owners; the agent has only the access that its own user "
        "and m3ta.pi-agent.projectGroup have there"
    )


def directories_unsearched(root: str, parts: str) -> str:
    """parts: directories, relative to the root."""
    return (
        f"{escaped(root)} was not searched completely; repositories may be unprotected in: {escaped(parts)}. Start in "
        "the repository itself, or allow a smaller project root"
    )


def git_settings_unread(root: str, parts: str) -> str:
    """parts: files, or directories that hold them, relative to the root."""
    return (
        f"git's configuration in {escaped(root)} is too large to look for the files that it names; they may be "
        f"unprotected: {escaped(parts)}"
    )


def git_setting_names_all(setting: str, root: str, parts: str) -> str:
    """parts: directories, relative to the root."""
    return (
        f"the git setting {escaped(setting)} names directories of {escaped(root)} in which repositories or the session "
        f"work; these cannot be protected: {escaped(parts)}"
    )


def protected_path_vanished(path: str) -> str:
    return f"{escaped(path)} vanished before it could be protected"


def sockets_reachable(sockets: Sequence[str]) -> str:
    """sockets: paths, the first of which are listed."""
    first = "programs listen on sockets in the project, and the agent can connect to them:"
    return _with_paths(first, sockets)


def sockets_not_looked_for(root: str) -> str:
    return f"could not look for programs that listen on sockets in {escaped(root)}, to which the agent can connect"


def hidden_paths_exposed(paths: Sequence[str]) -> str:
    first = "these hidden files were replaced on the host, and for a moment the agent could read them:"
    return f"{_with_paths(first, paths)}\nIf they hold secrets, assume that the agent knows them."


def _with_paths(first: str, found: Sequence[str]) -> str:
    """A sentence, and below it the first of the paths."""
    lines = [f"  {escaped(path)}" for path in found[:_LISTED_AT_MOST]]
    if len(found) > _LISTED_AT_MOST:
        lines.append(f"  and {len(found) - _LISTED_AT_MOST} more")
    return "\n".join([first, *lines])


# -- the configuration


def left_out(path: str, why: str) -> str:
    return f"{escaped(path)} was left out: {escaped(why)}"


def not_a_file(path: str) -> str:
    return f"{escaped(path)} was left out: it is a pipe, socket or device"


def loop_of_links(path: str) -> str:
    return f"{escaped(path)} was left out: it is a loop of links"


def too_deep(path: str) -> str:
    return f"the content of {escaped(path)} was left out: the directory is nested too deeply"


def isolated_file_replaced(name: str, why: str, kept: str) -> str:
    return (
        f"the isolated {escaped(name)} could not be read ({escaped(why)}); it was kept as {escaped(kept)} and replaced"
    )


def document_in_use(name: str) -> str:
    return f"waiting for another session, which is using the isolated {escaped(name)}"


def isolated_path_overgrown(name: str, kept: str) -> str:
    return f"the isolated {escaped(name)} exceeded the limits; it was kept as {escaped(kept)}"


def isolated_directory_closed(home: str) -> str:
    return f"{escaped(home)}, or a directory in it, is closed to its owner; a launch opens and scans it"


def sync_memory_unreadable(why: str) -> str:
    return f"the record of the last sync could not be read ({escaped(why)}); the whole configuration is copied again"
