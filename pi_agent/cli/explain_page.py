"""What `--sandbox-explain` knows, as a page of text for people."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from pi_agent.cli.explain_facts import Facts
from pi_agent.messages import explain_texts as texts

_WIDTH: Final = 110  # columns
_INDENT: Final = 20  # columns


def rendered(facts: Facts) -> list[str]:
    """The facts as the lines of a page of text."""
    page = _Page()
    _verdict(page, facts)
    if facts["mounts"] is not None:
        _visible(page, facts)
    if facts["configuration"] is not None:
        _configuration(page, facts)
    if facts["environment"] is not None:
        _session(page, facts)
    if facts["notices"]:
        page.section(texts.NOTICES)
        for notice in facts["notices"]:
            page.line("", notice)
    return page.lines


class _Page:
    """Lines of a label and words, broken where they get long."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def section(self, title: str) -> None:
        self.lines += [""] if self.lines else []
        self.lines.append(title)

    def line(self, label: str, *words: str, between: str = " ") -> None:
        """Words one after the other behind a label."""
        for number, row in enumerate(_rows(words, between, _WIDTH - _INDENT) or ["-"]):
            self.lines.append(f"  {label if number == 0 else '':<{_INDENT - 3}} {row}")

    def words(self, words: Iterable[str]) -> None:
        """Words one after the other over the whole width."""
        self.lines += [f"  {row}" for row in _rows(words, "  ", _WIDTH - 2)]


def _rows(words: Iterable[str], between: str, width: int) -> list[str]:
    """Words as rows of about that width; none is broken."""
    rows: list[str] = []
    for word in words:
        if rows and len(rows[-1]) + len(between) + len(word) <= width:
            rows[-1] += between + word
        else:
            if rows:
                rows[-1] += between.rstrip()
            rows.append(word)
    return rows


def _verdict(page: _Page, facts: Facts) -> None:
    page.section(texts.title(facts["command"], facts["directory"]))
    refusal = facts["refusal"]
    if refusal is None:
        page.line(texts.ALLOWED, texts.allowed(facts["user"], facts["root"]))
        page.line(texts.RUNS_AS, texts.runs_as(facts["agent"], facts["unit"]["name"], facts["unit"]["slice"]))
    else:
        page.line(texts.REFUSED, texts.refused(facts["status"], refusal["what"]))
        first, *rest = refusal["remedy"].split("\n")
        page.line(texts.REMEDY, first)
        for row in rest:
            page.line("", row)
    for root in facts["roots"] or []:
        chosen = bool(root["path"]) and root["path"] == facts["root"]
        page.line(texts.ROOT, texts.root(root["configured"], root["path"], root["unusable"], chosen=chosen))


def _visible(page: _Page, facts: Facts) -> None:
    page.section(texts.VISIBLE)
    mounts = facts["mounts"]
    # The system's own directories are read-only, and at the same place as on the host.
    shown = [each for each in mounts if each["writable"] or each["source"] != each["target"]]
    shown += [each for each in mounts if each not in shown and each["owners_mapped"]]
    width = max(len(each["target"]) for each in shown)
    for each in shown:
        label = texts.READ_WRITE if each["writable"] else texts.READ_ONLY
        page.line(label, texts.mount(f"{each['target']:<{width}}", each["source"], mapped=each["owners_mapped"]))
    page.line(texts.READ_ONLY, *(each["target"] for each in mounts if each not in shown))
    top = f"{facts['root'].rstrip('/')}/"
    for name in ("protected", "hidden"):
        page.line(name, *(path.removeprefix(top) for path in facts[name]), between="  ")
    _of_agents(page, facts["of_agents"])


def _of_agents(page: _Page, found: Facts | None) -> None:
    """The files of the project that belong to an agent on disk, and the commands that give them to the user."""
    if found is None:
        return
    if found["count"]:
        page.line(texts.OF_AGENTS, texts.of_agents(found["count"], found["first"]))
        for command in found["remedy"]:
            page.line("", command)
    if not found["complete"]:
        page.line(texts.OF_AGENTS, texts.NOT_ALL_SEEN)


def _configuration(page: _Page, facts: Facts) -> None:
    found = facts["configuration"]
    page.section(texts.CONFIGURATION)
    page.line(texts.HOST, found["host"] or texts.NO_HOST)
    page.line(texts.NIX, *(found["nix_settings"] or [texts.NO_SETTINGS]), between=", ")
    for each in found["env_files"]:
        page.line(texts.VARIABLES, texts.env_file(each["path"], each["from"], each["variables"]))
    for name, document in found["documents"].items():
        page.line(name, *(_document(document) or [texts.NO_CHANGE]), between=", ")
    work = (found["files"] or {}).items()
    changes = [texts.counted(verb, what["count"], what["first"]) for verb, what in work if what["count"]]
    page.line(texts.FILES, *(changes or [texts.NO_CHANGE]), between="; ")
    for verb in ("make", "write"):
        page.line(texts.state_changes(verb), *(facts["state"][verb] or [texts.NOTHING]), between=", ")


def _document(document: Facts) -> list[str]:
    """What changes in settings.json or auth.json."""
    kept = [] if document["unreadable"] is None else [texts.kept_aside(document["unreadable"])]
    return [*kept, *map(texts.sets, document["set"]), *map(texts.removes, document["remove"])]


def _session(page: _Page, facts: Facts) -> None:
    page.section(texts.ENVIRONMENT)
    setters: dict[str, list[str]] = {}
    for name, setter in facts["environment"].items():
        setters.setdefault(setter, []).append(name)
    for setter, names in setters.items():
        page.line(setter, *sorted(names))
    page.section(texts.PROPERTIES)
    page.words(facts["unit"]["properties"])
