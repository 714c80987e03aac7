"""Which names in a project run by themselves, and who runs them.

A pattern holds at every directory of the project. Names are compared without regard to case, since a file system may
ignore it. Git's own files are not found by name alone: a directory is a git directory if git takes it for one.
"""

from __future__ import annotations

from pi_agent.python.records import record
from pi_agent.sandbox import name_forms, project_search, self_running_table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from typing import Any, Final

    from pi_agent.sandbox.self_running_table import Beside, Entry

# What a file is, which says how it is judged.
FILE: Final = "file"
CONFIGURATION: Final = "configuration"  # of git
POINTER: Final = "pointer"  # leads git to another directory
HOOK: Final = "hook"
NAMED: Final = "named"  # by a setting of git, which runs or obeys it
PARTLY: Final = "partly"  # JSON, of which only some keys run

GIT: Final = "git"
OTHER: Final = "other"  # what the administrator has added


@record
class Rule:
    """A pattern, in lower case. alone: whether the file runs without a command that is given for it.

    asks: whether the user is asked about it, and not only told. group: who runs it. parts, beside: as in
    self_running_table.Entry.
    """

    pattern: str
    group: str
    kind: str
    alone: bool
    asks: bool
    parts: tuple[str, ...] = ()
    beside: Beside | None = None


# Those that a git directory has by its structure. They come first among all rules.
GIT_RULES: Final = (
    Rule("config", GIT, CONFIGURATION, True, True),
    Rule("commondir", GIT, POINTER, True, True),
    Rule("hooks", GIT, HOOK, True, True),
    Rule("named", GIT, NAMED, True, True),
)
CONFIGURATION_RULE, POINTER_RULE, HOOK_RULE, NAMED_RULE = range(4)
_STRUCTURE: Final = {
    "config": CONFIGURATION_RULE,
    "config.worktree": CONFIGURATION_RULE,
    "commondir": POINTER_RULE,
    "hooks": HOOK_RULE,
}
_GITS_KINDS: Final = {
    "config": CONFIGURATION,
    "config.worktree": CONFIGURATION,
    ".gitconfig": CONFIGURATION,
    "commondir": POINTER,
    "hooks": HOOK,
}
DOT_GIT: Final = ".git"
_END: Final = "\0"  # no name has one
INERT: Final = ".sample"  # git's example hooks, in every new repository
DISARMED: Final = ".disarmed-"  # what we have renamed, before a time in nanoseconds

# What is still to be matched below a directory: components, and the number of the rule.
Pending = tuple[tuple[str, ...], int]
# How a directory is looked at: pending patterns; the rule of everything in it, or None; whether a tool filled it.
Context = tuple[tuple[Pending, ...], int | None, bool]
DEFAULT: Final[Context] = ((), None, False)
# Filled by package managers with what other projects publish. Of what lies there, only git's own files and what runs
# without a command is told.
_FILLED_BY_TOOLS: Final = "node_modules"


# Of a file: the number of its rule, None if it is none's; and how to look at the directory if it is a link to one.
File = tuple[int | None, Context]


@record
class Sorted:
    """The names of a directory that matter. folders: those of its directories that are not looked at as by default."""

    files: dict[str, File]
    folders: dict[str, Context]


class Rules:
    """All rules, prepared for sorting the names of many directories.

    table: self_running_table.raw(). protected: the administrator's protected paths; what of them is in no table is
    somebody's of whom nothing is known. Of hundreds of rules, a launch needs few in full.
    """

    def __init__(self, table: Mapping[str, Any], protected: Iterable[str]) -> None:
        self.groups: tuple[str, ...] = tuple(table["groups"])
        self._rows: list[tuple[str, Mapping[str, Any] | None]] = []
        self._made: dict[int, Rule] = dict(enumerate(GIT_RULES))
        self._first: dict[str, list[Pending]] = {}
        self._wild: list[tuple[str, str, Pending]] = []
        listed = set()
        for row in table["files"]:
            if row["treatment"] != self_running_table.LEFT:
                listed.update(row["patterns"])
                for pattern in row["patterns"]:
                    self._add(pattern.lower(), row)
        for pattern in protected:
            if pattern not in listed:
                self._add(pattern.lower(), None)
        self._parts = {part for part, _, _ in self._wild}
        self._known = frozenset((*self._first, "commondir", DOT_GIT, _FILLED_BY_TOOLS))

    def _add(self, pattern: str, row: Mapping[str, Any] | None) -> None:
        number = len(GIT_RULES) + len(self._rows)
        self._rows.append((pattern, row))
        first, *rest = pattern.split("/")
        if "*" in first:
            # What every name that fits has in it, between two ends of names.
            part = max(f"{_END}{first}{_END}".split("*"), key=len)
            self._wild.append((part, first, (tuple(rest), number)))
        else:
            self._first.setdefault(first, []).append((tuple(rest), number))

    def rule(self, number: int) -> Rule:
        """The rule of that number."""
        if number not in self._made:
            pattern, row = self._rows[number - len(GIT_RULES)]
            entry = None if row is None else self_running_table.entry(row)
            self._made[number] = Rule(pattern, OTHER, FILE, True, True) if entry is None else _rule(pattern, entry)
        return self._made[number]

    def sort(self, folders: Collection[str], others: Collection[str], context: Context) -> Sorted:
        """Sort the names of a directory. folders: its directories; others: all else, links included."""
        found = Sorted({}, {})
        names = {name.lower() for name in folders}
        names.update([name.lower() for name in others])
        if not all(map(str.isascii, names)):
            names.update([form for name in (*folders, *others) for form in forms(name)])
        is_git = ("objects" in names and "refs" in names) or "commondir" in names
        if context == DEFAULT:
            known = self._matching(names, is_git=is_git)
            if not known:
                return found
            folders = [name for name in folders if not known.isdisjoint(forms(name))]
            others = [name for name in others if not known.isdisjoint(forms(name))]
        for name in folders:
            below = self._below(name, context, is_git=is_git)
            if below != DEFAULT:
                found.folders[name] = below
        for name in others:
            below = self._below(name, context, is_git=is_git)
            number = POINTER_RULE if DOT_GIT in forms(name) else below[1]
            inert = number is not None and self.rule(number).kind == HOOK and name.endswith(INERT)
            if (number is not None or below[0]) and not inert and not is_disarmed(name):
                found.files[name] = (number, below)
        return found

    def _matching(self, names: set[str], *, is_git: bool) -> set[str]:
        """Those of the names in small letters that may match a rule in a directory like any other."""
        known = self._known & names
        if is_git:
            known |= _STRUCTURE.keys() & names
        text = _END.join(("", *names, ""))
        if any([part in text for part in self._parts]):
            known |= {name for name in names if any(part in f"{_END}{name}{_END}" for part in self._parts)}
        return set(known)

    def _below(self, name: str, context: Context, *, is_git: bool) -> Context:
        """How what lies below name is looked at, if it is a directory; the rule is that of name itself."""
        active, whole, filled = context
        matches: list[Pending] = []
        for form in forms(name):
            ends = f"{_END}{form}{_END}"
            matches += self._first.get(form, ())
            matches += [each for part, wild, each in self._wild if part in ends and fits(form, wild)]
            matches += [(rest[1:], number) for rest, number in active if fits(form, rest[0])]
        if filled:
            matches = [each for each in matches if self.rule(each[1]).alone]
        complete = next((number for rest, number in matches if not rest), whole)
        if is_git:
            complete = next((_STRUCTURE[form] for form in forms(name) if form in _STRUCTURE), complete)
        return tuple([each for each in matches if each[0]]), complete, filled or name == _FILLED_BY_TOOLS


def forms(name: str) -> tuple[str, ...]:
    """The name in small letters, and what a file system may take it for (name_forms.py)."""
    return (name.lower(),) if name.isascii() else (name.lower(), *dict.fromkeys(name_forms.folded(name)))


def is_disarmed(name: str) -> bool:
    """Whether the name is one that we give to what is disarmed. Nothing runs under it, whoever gave it."""
    before, mark, digits = name.rpartition(DISARMED)
    return bool(before and mark) and len(digits) > 15 and digits.isdecimal()


def fits(name: str, pattern: str) -> bool:
    """Whether name matches pattern, in which `*` alone is special."""
    return name == pattern or ("*" in pattern and project_search.fits(name, pattern))


def _rule(pattern: str, entry: Entry) -> Rule:
    last = pattern.rpartition("/")[2]
    kind = PARTLY if entry.parts else FILE
    if entry.group == GIT:
        kind = _GITS_KINDS.get(last, kind)
    alone = self_running_table.runs_by_itself(entry)
    asks = alone and entry.treatment == self_running_table.PROTECTED
    return Rule(pattern, entry.group, kind, alone, asks, entry.parts, entry.beside)
