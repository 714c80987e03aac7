"""What `--sandbox-explain` knows, as a page of text for people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from pi_agent.cli.explain_facts import Facts

_WIDTH: Final = 110  # columns
_INDENT: Final = 20  # columns


def rendered(facts: Facts) -> list[str]:
    """The facts as the lines of a page of text."""
    page = _Page()
    _verdict(page, facts)
    if facts["mounts"] is not None:
        _view(page, facts)
    if facts["configuration"] is not None:
        _changes(page, facts)
    if facts["environment"] is not None:
        _session(page, facts)
    if facts["notices"]:
        page.section("Notices")
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
    page.section(f"{facts['command']} in {facts['directory'] or 'a directory that is gone'}")
    refusal = facts["refusal"]
    if refusal is None:
        page.line("allowed", f"for {facts['user']}, in the root {facts['root']}")
        page.line("runs as", f"{facts['agent']}, in {facts['unit']['name']} of {facts['unit']['slice']}")
    else:
        page.line("refused", f"with status {facts['status']}: {refusal['what']}")
        page.line("what to do", refusal["remedy"].split("\n")[0])
        for row in refusal["remedy"].split("\n")[1:]:
            page.line("", row)
    for root in facts["roots"] or []:
        where = "" if root["path"] in (None, root["configured"]) else f" ({root['path']})"
        chosen = ", which holds this directory" if root["path"] and root["path"] == facts["root"] else ""
        page.line("root", f"{root['configured']}{where}{chosen}{_because(root['unusable'])}")


def _because(why: str | None) -> str:
    return "" if why is None else f": cannot be used, {why}"


def _view(page: _Page, facts: Facts) -> None:
    page.section("What it sees")
    shown = [mount for mount in facts["mounts"] if mount["writable"] or mount["source"] != mount["target"]]
    for mount in facts["mounts"]:
        if mount not in shown and mount["owners_mapped"]:
            shown.append(mount)
    width = max(len(mount["target"]) for mount in shown)
    for mount in shown:
        source = "" if mount["source"] == mount["target"] else f"  is {mount['source']}"
        owners = "  owners are mapped" if mount["owners_mapped"] else ""
        page.line(
            "read-write" if mount["writable"] else "read-only", f"{mount['target']:<{width}}{source}{owners}".rstrip()
        )
    page.line("read-only", *(mount["target"] for mount in facts["mounts"] if mount not in shown))
    top = f"{facts['root'].rstrip('/')}/"
    for name in ("protected", "hidden"):
        page.line(name, *(path.removeprefix(top) for path in facts[name]), between="  ")


def _changes(page: _Page, facts: Facts) -> None:
    found = facts["configuration"]
    page.section("Configuration")
    page.line("from the host", found["host"] or "nothing")
    page.line("from Nix", *(found["nix_settings"] or ["no settings"]), between=", ")
    for each in found["env_files"]:
        page.line("variables", f"{each['path']} ({each['from']}): {each['variables']}")
    for name, document in found["documents"].items():
        words = [f"sets {place}" for place in document["set"]]
        words += [f"removes {place}" for place in document["remove"]]
        if document["unreadable"] is not None:
            words.insert(0, f"is kept aside ({document['unreadable']})")
        page.line(name, *(words or ["no change"]), between=", ")
    work = found["files"] or {}
    words = [_counted(verb.replace("_", " "), what) for verb, what in work.items() if what["count"]]
    page.line("files", *(words or ["no change"]), between="; ")
    for label in ("make", "write"):
        names = facts["state"][label]
        page.line(f"state, to {label}", *(names or ["nothing"]), between=", ")


def _counted(verb: str, what: Mapping[str, Any]) -> str:
    more = what["count"] - len(what["first"])
    return f"{verb} {what['count']}: {', '.join(what['first'])}" + (f" and {more} more" if more else "")


def _session(page: _Page, facts: Facts) -> None:
    page.section("Environment, by who sets it")
    setters: dict[str, list[str]] = {}
    for name, setter in facts["environment"].items():
        setters.setdefault(setter, []).append(name)
    for setter, names in setters.items():
        page.line(setter, *sorted(names))
    page.section("The unit's properties")
    page.words(facts["unit"]["properties"])
