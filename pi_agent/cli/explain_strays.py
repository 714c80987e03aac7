"""Files of the project that belong to an agent on disk, and how to give them to the user.

No session can write to them: owners are mapped one way. They are left by an earlier version, or by a time in which the
file system could not map owners.
"""

from __future__ import annotations

import os
import time
from collections.abc import Collection
from typing import Final

from pi_agent.cli.explain_facts import Facts
from pi_agent.linux.directories import Peek, peek
from pi_agent.linux.identities import acting_as
from pi_agent.linux.paths import reopen
from pi_agent.messages import explain_texts
from pi_agent.messages.quoting import escaped_in_full
from pi_agent.session.launch_plan import Request
from pi_agent.state.scans import walked

_SECONDS_AT_MOST: Final = 2.0
_ENTRIES_AT_MOST: Final = 200_000
_DEPTH_AT_MOST: Final = 64
_NAMES_AT_MOST: Final = 5


def look(request: Request) -> Facts:
    """Look through the project, as the host user. `complete` is false if that was not possible everywhere."""
    if request.project is None:
        return {"of_agents": None}
    accounts, root = request.accounts, request.project.root
    agents = (accounts.agent, accounts.owner)  # earlier versions ran every agent as the owner of the state
    names = {account.uid: account.name for account in agents if account.uid != accounts.caller.uid}
    with acting_as(accounts.caller):
        found, complete = _owned_by(names.keys(), request.project.descriptor)
    return {
        "of_agents": {
            "count": len(found),
            "first": [escaped_in_full(f"{root}/{path}") for path in sorted(found)[:_NAMES_AT_MOST]],
            "complete": complete,
            "remedy": [
                explain_texts.give_to_user(names[uid], accounts.caller.name, root) for uid in sorted({*found.values()})
            ],
        }
    }


def _owned_by(uids: Collection[int], project: int) -> tuple[dict[str, int], bool]:
    """The paths below the open project that belong to one of the uids, each with its uid; and whether all was seen."""
    found: dict[str, int] = {}
    enter = Peek(peek)
    until = time.monotonic() + _SECONDS_AT_MOST
    try:
        top = reopen(project, os.O_RDONLY | os.O_DIRECTORY)
    except PermissionError:
        return found, False
    try:
        entries = walked(top, lambda path: path.count("/") < _DEPTH_AT_MOST, enter)
        for number, (path, status) in enumerate(entries):
            if number >= _ENTRIES_AT_MOST or time.monotonic() > until:
                return found, False
            if status.st_uid in uids:
                found[path] = status.st_uid
    finally:
        os.close(top)
    return found, not enter.closed
