"""The table of files that the host may run by itself, read from self_running_files.json.

Nix takes the default of `sandbox.protectedPaths` from the same file (nix/defaults/protected-paths.nix), and
docs/self-running.md shows all of it. A launch that finds nothing new needs only `patterns`.
"""

from __future__ import annotations

import os

from pi_agent.python import json_reader
from pi_agent.python.records import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, Final

_FILE: Final = os.path.splitext(__file__)[0].removesuffix("_table") + "_files.json"
PROTECTED: Final = "protected"
TOLD: Final = "told"
LEFT: Final = "left"
TREATMENTS: Final = (PROTECTED, TOLD, LEFT)
# What follows is the occasion: at a prompt, at `git status`, when an editor opens the directory.
BY_ITSELF: Final = "by itself"


@record
class Beside:
    """A file in the same directory, and a word in it, without which the entry does not run by itself."""

    file: str
    word: str


@record
class Entry:
    """One row of the table.

    patterns: as in `sandbox.protectedPaths`. group: who runs them, one of `Table.groups`. when: the occasion, which
    begins with BY_ITSELF, or the command that it takes. treatment: PROTECTED, read-only inside where it exists; TOLD,
    after a session that changed it; LEFT. reason: why it is treated so. source: the title of the documentation that
    says so. parts: the keys of a JSON object that run something, where the rest does not; () for the whole file.
    beside: a condition, or None.
    """

    patterns: tuple[str, ...]
    group: str
    when: str
    treatment: str
    reason: str
    source: str
    parts: tuple[str, ...] = ()
    beside: Beside | None = None


@record
class Table:
    """groups: who runs files, the most dangerous first. entries: in the order of groups."""

    groups: tuple[str, ...]
    entries: tuple[Entry, ...]


def load() -> Table:
    """Read the table. Raises OSError or ValueError if the installation is broken."""
    value = raw()
    return Table(tuple(value["groups"]), tuple(entry(each) for each in value["files"]))


def raw() -> dict[str, Any]:
    """The table as JSON: `groups`, and `files`, which are rows for `entry`. For who needs few of hundreds of rows."""
    with open(_FILE, "rb") as file:
        value: dict[str, Any] = json_reader.loads(file.read())
    return value


def patterns(table: Table, treatment: str) -> tuple[str, ...]:
    """All patterns that are treated so, in the order of the table."""
    return tuple(pattern for entry in table.entries if entry.treatment == treatment for pattern in entry.patterns)


def runs_by_itself(entry: Entry) -> bool:
    """Whether no command of the user's is needed."""
    return entry.when.startswith(BY_ITSELF)


def entry(row: Mapping[str, Any]) -> Entry:
    """The entry of a row."""
    value = dict(row)
    patterns, parts, beside = value.pop("patterns"), value.pop("parts", ()), value.pop("beside", None)
    return Entry(tuple(patterns), **value, parts=tuple(parts), beside=None if beside is None else Beside(**beside))
