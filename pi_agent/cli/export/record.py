"""What was copied to an export directory, remembered in that directory: so a copy that was changed there is noticed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

import orjson

from pi_agent.linux import files
from pi_agent.state.transcripts import Stamp

NAME: Final = ".exported.json"
_BYTES_AT_MOST: Final = 32 * 1024**2
_NO_FILE: Final = (-1, 0)  # a stamp that no file has


@dataclass(frozen=True, slots=True)
class Copied:
    """The stamps of a transcript and of its copy when it was copied."""

    source: Stamp
    copy: Stamp


# The copy's name → what was copied.
Record = Mapping[str, Copied]


class Action(Enum):
    """What to do about a transcript."""

    COPY = "copy"
    UNCHANGED = "unchanged"
    KEEP = "keep"


def action(source: Stamp, copy: Stamp | None, before: Copied | None) -> Action:
    """What to do about a transcript: only a copy of ours that nobody changed is overwritten.

    source: of the transcript. copy: of the file that is there now, if any. before: what the record has of it.
    """
    if copy is None:
        return Action.COPY
    if copy == source or before == Copied(source, copy):
        return Action.UNCHANGED
    return Action.COPY if before is not None and before.copy == copy else Action.KEEP


def cut_off(copy: Stamp) -> Copied:
    """What is recorded of a copy that is not whole: it is ours, and a copy of no file that exists."""
    return Copied(_NO_FILE, copy)


def read(directory: int) -> dict[str, Copied]:
    """The record in the open directory. One that cannot be read is empty: then files that differ are kept."""
    try:
        content = files.read_named(directory, NAME, _BYTES_AT_MOST)
        found = {}
        for name, (a, b, c, d) in orjson.loads(content or b"{}").items():
            found[name] = Copied((a, b), (c, d))
        return found
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def write(directory: int, record: Record) -> None:
    """Replace the record in the open directory. Raises OSError."""
    files.replace(directory, NAME, orjson.dumps({name: [*each.source, *each.copy] for name, each in record.items()}))
