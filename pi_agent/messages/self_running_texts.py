"""What is said after a session about files that the host may run by itself, and the question about them.

Names that the agent chose are escaped.
"""

from __future__ import annotations

from pi_agent.messages.quoting import escaped

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Final

UNREADABLE: Final = "cannot be read, or is larger than such a file should be"
NOT_READ_BY_GIT: Final = "git cannot read it"
_KEYS_SHOWN: Final = 8
_UNSEEN_SHOWN: Final = 10
# Who runs a file, by group of the table → the heading of the group.
RUN_BY: Final[Mapping[str, str]] = {
    "git": "git would run, also from your prompt:",
    "shell": "your shell would run:",
    "login": "your next login would run:",
    "version manager": "your version manager would run or switch to:",
    "editor": "your editor would run:",
    "version control": "your version control would run:",
    "package manager": "your package manager would run, when you call it:",
    "build tool": "your build tool would run, when you call it:",
    "interpreter": "an interpreter would run, when you call it:",
    "coding agent": "a coding agent would run or obey:",
    "other": "your machine may run (a path of sandbox.protectedPaths):",
}
IN_FILLED: Final = "only if you work in these directories themselves, which a package manager fills:"
CHANGED: Final = "files that your machine may run by itself changed during this session"
QUESTION: Final = "Keep them as they are, or disarm them so that nothing runs? [disarm/keep] "
KEPT: Final = "kept; this answer is remembered for exactly this content"
DISARMED: Final = "disarmed:"
NOT_DISARMED: Final = "could not be disarmed. Look at these yourself, before git, a shell or an editor does:"
LOADED_WHOLE: Final = "the directory is loaded whole, under any name"
KEEPS_CHANGING: Final = "it keeps changing"
OTHERS_AT_WORK: Final = "Other terminals and editors that are open meanwhile may have run them already."


def leads_outside(where: str) -> str:
    return f"leads outside the project, to {escaped(where)}"


def leads_to(where: str) -> str:
    return f"leads to {escaped(where)}"


def named_by(setting: str) -> str:
    return f"{escaped(setting)} names it"


def leads_to_running(where: str, keys: Sequence[str]) -> str:
    return f"leads git to {escaped(where)}, where it would run {_listed(keys)}"


def item(path: str, what: Sequence[str]) -> str:
    """A line about a file. what: settings that run something, or what is to be said of it."""
    return f"  {escaped(path)}" + (f": {_listed(what)}" if what else "")


def many(path: str, count: int, names: Sequence[str]) -> str:
    """A line about many files in one directory. names: the most dangerous of them."""
    return f"  {escaped(path)}: {count} files, among them {_listed(names)}"


def more(count: int) -> str:
    return f"  and {count} more"


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(escaped(name) for name in names[:_KEYS_SHOWN])
    return shown if len(names) <= _KEYS_SHOWN else f"{shown} and {len(names) - _KEYS_SHOWN} more"


def could_not_see(places: Sequence[tuple[str, str]], root: str) -> str:
    """places: paths and why each could not be looked at."""
    first = f"not all of {escaped(root)} could be looked at after this session. Files that run by themselves may be in:"
    lines = [f"  {escaped(path or '.')}: {escaped(why)}" for path, why in places[:_UNSEEN_SHOWN]]
    if len(places) > _UNSEEN_SHOWN:
        lines.append(more(len(places) - _UNSEEN_SHOWN))
    return "\n".join([first, *lines])


def told(root: str, lines: Sequence[str]) -> str:
    """lines: the groups, with their files, whose paths begin at root."""
    return "\n".join([f"{CHANGED}. Review them before you use {escaped(root)}:", *lines])


def disarmed(path: str, kept: str, keys: Sequence[str]) -> str:
    """kept: where the file, or a copy of the configuration, is now. keys: the settings that were removed."""
    if keys:
        return f"  {escaped(path)}: {_listed(keys)} removed; the file as it was is {escaped(kept)}"
    return f"  {escaped(path)} is now {escaped(kept)}"


def not_disarmed(path: str, why: str) -> str:
    return f"  {escaped(path)}: {escaped(why)}"
