"""`--sandbox-reset [--all]`: removes the caches and packages of the caller's agent, or everything it keeps.

Runs as root; looks and removes as the owner of each tree, and follows no link. The state is claimed before
anything is shown: no session is using it then, and none starts before the reset is over.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from typing import Final

from pi_agent.cli import output
from pi_agent.cli.call import Call
from pi_agent.linux import directories, identities, removal
from pi_agent.linux.identities import Identity, acting_as
from pi_agent.messages import command_output, command_refusals
from pi_agent.messages.quoting import escaped
from pi_agent.session import running_sessions, session_directory
from pi_agent.state import scans, sync_directory, user_state
from pi_agent.state.pi_files import KEPT_CODE
from pi_agent.state.user_state import PI_AGENT_DIRECTORY, State

# What Pi and npm make again when they need it.
_CACHES: Final = (".cache", ".npm", ".npm-global", *(f"{PI_AGENT_DIRECTORY}/{name}" for name in KEPT_CODE))
_SHOWN_AT_MOST: Final = 40
_ANSWER_AT_MOST: Final = 64  # bytes
_SECTOR: Final = 512  # bytes, the unit of st_blocks


@dataclass(frozen=True, slots=True)
class Removal:
    """Something to remove. owner: of the tree; top: an open directory; path: relative to it; name: for the user; size:
    bytes on disk, of what was counted; at_least: whether there is more."""

    owner: Identity
    top: int
    path: str
    name: str
    size: int
    at_least: bool


def run(call: Call) -> int:
    """List, ask, remove. Returns 0. Raises Refusal: 64 without a terminal to ask at, 69 while a session is running."""
    confirmed = "--yes" in call.invocation.flags
    if not confirmed and not (os.isatty(0) and os.isatty(2)):
        raise command_refusals.reset_not_confirmed()
    own = user_state.existing(call.policy, call.accounts.owner, call.accounts.caller.name)
    if own is None:
        output.lines([command_output.NOTHING_TO_REMOVE])
        return 0
    try:
        _claim(call, own)
        _reset(call, own, everything="--all" in call.invocation.flags, confirmed=confirmed)
    finally:
        user_state.release(own)
    return 0


def _claim(call: Call, own: State) -> None:
    """Keep sessions from using the state. Raises Refusal (69) while one is running."""
    if not sync_directory.claim(own.memory):
        raise command_refusals.sessions_live(
            [each.id for each in running_sessions.of_user(call.accounts.caller.uid)], call.policy.command_name
        )
    # If a runner and its guard were both killed, their unit is still running.
    session_directory.sweep(call.policy.tools, call.accounts.caller.uid)


def _reset(call: Call, own: State, *, everything: bool, confirmed: bool) -> None:
    removals = _planned(call.accounts.owner, own, everything=everything)
    if not removals and not everything:
        output.lines([command_output.NOTHING_TO_REMOVE])
        return
    output.lines(_listed(removals))
    if not confirmed and not _confirmed(call.policy.command_name):
        output.lines([command_output.NOTHING_REMOVED])
        return
    try:
        _remove(removals)
        if everything:
            user_state.forget(call.policy, call.accounts.owner, call.accounts.caller.name)
    except OSError as error:
        raise command_refusals.reset_incomplete(error.strerror or str(error)) from error
    total = _size(sum(each.size for each in removals), any(each.at_least for each in removals))
    output.lines([command_output.removed(total)])


def _planned(owner: Identity, own: State, *, everything: bool) -> list[Removal]:
    """What is there to remove."""
    at_home = sorted(os.listdir(own.home))
    if not everything:
        at_home = [*_CACHES, *(name for name in at_home if name.startswith(directories.OURS))]
    memory = sorted(os.listdir(own.memory)) if everything else []
    places = [(owner, own.home, path, f"~/{path}") for path in at_home]
    places += [(identities.root(), own.memory, path, command_output.sync_record(path)) for path in memory]
    return [found for place in places if (found := _look(*place)) is not None]


def _look(owner: Identity, top: int, path: str, shown: str) -> Removal | None:
    """Count what is at the path, as the owner of the tree; None if nothing is. shown: its name for the user."""
    folder, _, name = path.rpartition("/")
    with acting_as(owner), directories.suppress_gone():
        parent = directories.enter_path(top, folder)
        try:
            status = os.stat(name, dir_fd=parent, follow_symlinks=False)
            size, at_least = status.st_blocks * _SECTOR, False
            if stat.S_ISDIR(status.st_mode):
                below, at_least = _size_below(parent, name)
                size += below
            return Removal(owner, top, path, shown, size, at_least)
        finally:
            os.close(parent)
    return None


def _size_below(parent: int, name: str) -> tuple[int, bool]:
    """The size of everything below a directory, in bytes on disk, and whether there is more than was counted."""
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


def _listed(removals: list[Removal]) -> list[str]:
    rows = [f"  {_size(each.size, each.at_least):>12}  {escaped(each.name)}" for each in removals[:_SHOWN_AT_MOST]]
    if len(removals) > _SHOWN_AT_MOST:
        rows.append(f"  {command_output.more(len(removals) - _SHOWN_AT_MOST)}")
    return [command_output.WILL_BE_REMOVED, *rows]


def _size(size: int, at_least: bool) -> str:
    shown = output.size(size)
    return command_output.at_least(shown) if at_least else shown


def _confirmed(command: str) -> bool:
    """Ask at the terminal. Everything except `y` and `yes` means no."""
    os.write(2, command_output.confirm_removal(command).encode())
    try:
        answer = os.read(0, _ANSWER_AT_MOST)
    except OSError:
        return False
    return answer.strip().lower() in (b"y", b"yes")


def _remove(removals: list[Removal]) -> None:
    for each in removals:
        with acting_as(each.owner):
            removal.remove_path(each.top, each.path)
