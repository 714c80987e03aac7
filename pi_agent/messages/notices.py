"""Everything pi-agent says when it does not go on: the exit status, what is wrong, what to do.

Every sentence a user can meet stands here, so that it can be read, tested and documented in one place. A function
takes the facts and returns the `Refusal` to raise; it never acts. Names that a user or the agent chose go through
`shown` first: a terminal obeys what is printed on it.

Exit statuses follow sysexits(3).
"""

from __future__ import annotations

from pi_agent.messages.quoting import escaped

TYPE_CHECKING = False
if TYPE_CHECKING:
    pass


def owners_not_mapped(root: str) -> str:
    """A notice: what the agent can do on a file system that cannot map owners."""
    return (
        f"{escaped(root)} is on a file system that cannot map owners; the agent has only the access that its own user "
        "and m3ta.pi-agent.projectGroup give it there"
    )


def self_running_files_changed(changed: list[str]) -> str:
    """A notice after a session: what it made or changed that the host may run by itself."""
    shown_at_most = 20
    lines = [f"  {escaped(path)}" for path in changed[:shown_at_most]]
    if len(changed) > shown_at_most:
        lines.append(f"  and {len(changed) - shown_at_most} more")
    what = "during this session, files changed that your machine may run by itself. Look before you use the project:"
    return "\n".join([what, *lines])


def protected_path_vanished(path: str) -> str:
    """A notice: something that should have been protected was moved away while the session was prepared."""
    return f"{escaped(path)} vanished while it was about to be protected"


def repositories_overlooked(root: str) -> str:
    """A notice: the project is too large for its nested repositories to be found."""
    return (
        f"{escaped(root)} has so many directories that repositories nested in it may be unprotected; start in the "
        "repository itself, or allow a smaller project root"
    )
