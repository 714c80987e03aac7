"""`--sandbox-reset [--all]`: removes what the caller's agent keeps: caches and packages, or everything.

Runs as root; looks and removes as the agent, whose tree it is, following no link. The state is claimed before anything
is shown, so no session is using it and none begins before this is over.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from typing import Final

from pi_agent.cli import output
from pi_agent.cli.call import Call
from pi_agent.linux import directories, removal
from pi_agent.linux.identities import Identity, acting_as
from pi_agent.messages import command_refusals
from pi_agent.messages.quoting import escaped
from pi_agent.session import running_sessions, session_directory
from pi_agent.state import scans, user_state
from pi_agent.state.user_state import PI_AGENT_DIRECTORY, State

# What comes again by itself.
_CACHES: Final = (".cache", ".npm", ".npm-global", *(f"{PI_AGENT_DIRECTORY}/{name}" for name in ("bin", "git", "npm")))
_NOTHING: Final = "There is nothing to remove."
_SHOWN_AT_MOST: Final = 40
_ANSWER_AT_MOST: Final = 64  # bytes
_SECTOR: Final = 512  # bytes, the unit of st_blocks


@dataclass(frozen=True, slots=True)
class Going:
    """Something that is to be removed. top: an open directory; path: relative to it; name: for the user; size: bytes on
    disk, at_least where there was more than could be counted."""

    top: int
    path: str
    name: str
    size: int
    at_least: bool


def run(call: Call) -> int:
    """Show, ask, remove. Raises Refusal: 64 without a terminal to ask at, 69 while a session is live."""
    confirmed = "--yes" in call.invocation.flags
    if not confirmed and not (os.isatty(0) and os.isatty(2)):
        raise command_refusals.reset_not_confirmed()
    own = user_state.existing(call.policy, call.agent, call.caller.name)
    if own is None:
        output.lines([_NOTHING])
        return 0
    try:
        _claim(call, own)
        _reset(call, own, everything="--all" in call.invocation.flags, confirmed=confirmed)
    finally:
        user_state.release(own)
    return 0


def _claim(call: Call, own: State) -> None:
    """Have the state for nobody else. Raises Refusal (69) while a session is live."""
    if not user_state.claim(own):
        raise command_refusals.sessions_live(
            [each.id for each in running_sessions.of_user(call.caller.uid)], call.policy.command_name
        )
    # A runner and its guard may both have been killed, and their unit goes on.
    session_directory.sweep(call.policy.tools, call.caller.uid)


def _reset(call: Call, own: State, *, everything: bool, confirmed: bool) -> None:
    going = _going(call.agent, own, everything=everything)
    if not going and not everything:
        output.lines([_NOTHING])
        return
    output.lines(_described(going))
    if not confirmed and not _agreed(call.policy.command_name):
        output.lines(["Nothing was removed."])
        return
    try:
        _remove(call.agent, going)
        if everything:
            user_state.forget(call.policy, call.agent, call.caller.name)
    except OSError as error:
        raise command_refusals.reset_incomplete(error.strerror or str(error)) from error
    output.lines([f"Removed: {_amount(sum(each.size for each in going), any(each.at_least for each in going))}."])


def _going(agent: Identity, own: State, *, everything: bool) -> list[Going]:
    with acting_as(agent):
        at_home = sorted(os.listdir(own.home))
        if not everything:
            at_home = [*_CACHES, *(name for name in at_home if name.startswith(directories.OURS))]
        memory = sorted(os.listdir(own.memory)) if everything else []
        places = [(own.home, path, f"~/{path}") for path in at_home]
        places += [(own.memory, path, f"{path} (of the configuration's sync)") for path in memory]
        return [found for place in places if (found := _looked_at(*place)) is not None]


def _looked_at(top: int, path: str, called: str) -> Going | None:
    folder, _, name = path.rpartition("/")
    with directories.suppress_gone():
        parent = directories.enter_path(top, folder)
        try:
            status = os.stat(name, dir_fd=parent, follow_symlinks=False)
            size, at_least = status.st_blocks * _SECTOR, False
            if stat.S_ISDIR(status.st_mode):
                below, at_least = _size_below(parent, name)
                size += below
            return Going(top, path, called, size, at_least)
        finally:
            os.close(parent)
    return None


def _size_below(parent: int, name: str) -> tuple[int, bool]:
    """What lies below a directory, in bytes on disk, and whether there is more than was counted."""
    size, more = 0, False

    def descend(relative: str) -> bool:
        nonlocal more
        deep = relative.count("/") >= scans.DEPTH_AT_MOST
        more = more or deep
        return not deep

    directory = directories.enter(parent, name)
    try:
        for number, (_, status) in enumerate(scans.walked(directory, descend)):
            if number >= scans.ENTRIES_AT_MOST:
                return size, True
            size += status.st_blocks * _SECTOR
    finally:
        os.close(directory)
    return size, more


def _described(going: list[Going]) -> list[str]:
    rows = [f"  {_amount(each.size, each.at_least):>12}  {escaped(each.name)}" for each in going[:_SHOWN_AT_MOST]]
    if len(going) > _SHOWN_AT_MOST:
        rows.append(f"  and {len(going) - _SHOWN_AT_MOST} more")
    return ["This goes; ~ is the home of your agent:", *rows]


def _amount(size: int, at_least: bool) -> str:
    return ("more than " if at_least else "") + output.size(size)


def _agreed(command: str) -> bool:
    """Ask at the terminal; anything but a yes is none."""
    os.write(2, f"{command}: remove it? [y/N] ".encode())
    try:
        answer = os.read(0, _ANSWER_AT_MOST)
    except OSError:
        return False
    return answer.strip().lower() in (b"y", b"yes")


def _remove(agent: Identity, going: list[Going]) -> None:
    with acting_as(agent):
        for each in going:
            removal.remove_path(each.top, each.path)
