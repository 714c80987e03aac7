"""`--sandbox-sessions`: the caller's Pi transcripts, which are in a tree that the caller cannot read.

Runs as root, and reads the tree as its owner. Everything in it is foreign text.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Final

from pi_agent.cli import output
from pi_agent.cli.call import Call
from pi_agent.linux import standard_error
from pi_agent.linux.identities import acting_as
from pi_agent.messages import command_output
from pi_agent.messages.quoting import escaped
from pi_agent.state import transcripts, user_state
from pi_agent.state.transcripts import Head, Transcript

_LISTED_AT_MOST: Final = 1000
_FIRST_AT_MOST: Final = 60  # characters
_Row = tuple[Transcript, Head]


def run(call: Call) -> int:
    """List them, newest first. Returns 0."""
    own = user_state.existing(call.policy, call.accounts.owner, call.accounts.caller.name)
    rows, older = ([], 0) if own is None else _read(call, own)
    if "--json" in call.invocation.flags:
        output.json([_as_json(row) for row in rows])
    elif rows:
        output.table(("LAST USED", "SIZE", "DIRECTORY", "FIRST MESSAGE"), [_shown(row) for row in rows])
    else:
        output.lines([command_output.NO_TRANSCRIPTS])
    if older:
        standard_error.say(call.policy.command_name, command_output.older_transcripts(older))
    return 0


def _read(call: Call, own: user_state.State) -> tuple[Sequence[_Row], int]:
    with acting_as(call.accounts.owner):
        top = transcripts.open_place(own)
        if top is None:
            return [], 0
        found = sorted(transcripts.find(top).transcripts, key=lambda each: each.stamp[1], reverse=True)
        rows = [(each, transcripts.head(top, each.name)) for each in found[:_LISTED_AT_MOST]]
    return rows, len(found) - len(rows)


def _shown(row: _Row) -> tuple[str, ...]:
    each, head = row
    first = " ".join((head.first or "").split())
    if len(first) > _FIRST_AT_MOST:
        first = first[: _FIRST_AT_MOST - 1] + "…"
    return (
        time.strftime("%Y-%m-%d %H:%M", time.localtime(_seconds(each))),
        output.size(each.stamp[0]),
        escaped(_directory(row)),
        escaped(first),
    )


def _directory(row: _Row) -> str:
    each, head = row
    return head.directory or each.name.rpartition("/")[0] or each.name


def _seconds(each: Transcript) -> float:
    """When it was last used, within the range of a calendar."""
    return min(max(each.stamp[1] / 1e9, 0), 2**37)


def _as_json(row: _Row) -> dict[str, Any]:
    each, head = row
    return {
        "file": each.name,
        "modified": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(_seconds(each))),
        "sizeBytes": each.stamp[0],
        "directory": head.directory,
        "firstMessage": head.first,
    }
