"""docs/self-running.md and the short list in README.md, made from the table. No launch imports this.

`python3 -m pi_agent.sandbox.self_running_page docs/self-running.md README.md` writes them anew; a test compares.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from pi_agent.sandbox import self_running_table
from pi_agent.sandbox.self_running_table import LEFT, PROTECTED, TOLD, Entry, Table

_HEAD: Final = """\
# What runs by itself

Generated from `pi_agent/sandbox/self_running_files.json` by `make docs`.

An agent that changes a file which your machine runs by itself has a way out of the sandbox. This page lists such files:
who runs them, when, and what `pi` does about it. They are looked for in the project root, in each directory from there
to the session's, and in repositories nearby. `*` matches any characters within one component of a path.

- **Protected** files are read-only inside where they exist when the session starts. They are the default of
  `m3ta.pi-agent.sandbox.protectedPaths`.
- **Told** files are edited every day, so the agent may change them. A notice after the session names those that
  changed, where that can run something.
- **Left** files are not looked at, for the reason given.
"""
_BEGIN: Final = "<!-- self-running: made by make docs -->\n"
_END: Final = "<!-- end of self-running -->"
# Entries of each group in README's list.
_SHOWN: Final = 7
_COLUMNS: Final = ("| Files | Run by | When | Why | Documentation |", "|---|---|---|---|---|")
_TITLES: Final = {PROTECTED: "Protected", TOLD: "Told", LEFT: "Left"}


def page(table: Table) -> str:
    """The page: for each treatment, a table in the order of the groups."""
    return "\n".join([_HEAD, *(line for treatment in _TITLES for line in _section(table, treatment))])


def _section(table: Table, treatment: str) -> Iterator[str]:
    yield from (
        f"## {_TITLES[treatment]}",
        "",
        "| Files | Run by | When | Why | Documentation |",
        "|---|---|---|---|---|",
    )
    for entry in table.entries:
        if entry.treatment == treatment:
            yield f"| {_files(entry)} | {entry.group} | {entry.when} | {entry.reason} | {entry.source} |"
    yield ""


def _files(entry: Entry) -> str:
    files = ", ".join(f"`{pattern}`" for pattern in entry.patterns)
    if entry.parts:
        files += " (" + ", ".join(f"`{part}`" for part in entry.parts) + ")"
    if entry.beside is not None:
        files += f" beside an `{entry.beside.file}` with the word `{entry.beside.word}`"
    return files


def updated(readme: str, table: Table) -> str:
    """README's text with its short list as it has to be. Raises ValueError if the list has no place in it."""
    before, opened, rest = readme.partition(_BEGIN)
    _, closed, after = rest.partition(_END)
    if not opened or not closed:
        raise ValueError("there is no place for the list of what runs by itself")
    return "\n".join([f"{before}{_BEGIN}", *_short(table), "", f"{_END}{after}"])


def _short(table: Table) -> Iterator[str]:
    """For each group, the first of its files."""
    yield from ("| Run by | Protected | Told |", "|---|---|---|")
    for group in table.groups:
        cells = (_first(table, group, treatment) for treatment in (PROTECTED, TOLD))
        yield f"| {group} | {' | '.join(cells)} |"


def _first(table: Table, group: str, treatment: str) -> str:
    entries = [entry for entry in table.entries if (entry.group, entry.treatment) == (group, treatment)]
    named = [f"`{entry.patterns[0]}`" for entry in entries[:_SHOWN]]
    more = sum(len(entry.patterns) for entry in entries) - len(named)
    return (", ".join(named) or "–") + (f" and {more} more" if more else "")


if __name__ == "__main__":
    there, readme = map(Path, sys.argv[1:])
    there.write_text(page(self_running_table.load()), encoding="utf-8")
    readme.write_text(updated(readme.read_text(encoding="utf-8"), self_running_table.load()), encoding="utf-8")
