"""Whether sudo lets a host user start the runner, and which rule is in the way if not. Asks sudo, which alone knows.

sudo takes the last rule that matches (sudoers(5)), and says which that is, with its file. sudo-rs lists the rules in
order but names no files. Both list them to a user without a password if one rule of the user's asks for none, and
always to root.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pi_agent.linux import processes
from pi_agent.messages import access_findings, findings
from pi_agent.messages.finding import Finding

_RULE: Final = re.compile(r"[A-Za-z]+ (?:entry|Role):(?: (.*))?")
_FACT: Final = re.compile(r" +(\w+): (.*)")
# As sudo and sudo-rs say it of a user who has no rule at all.
_NO_RULE: Final = re.compile(r"user \S+ (?:is not allowed to|may not) run sudo", re.IGNORECASE)
_AS_ROOT: Final = {"root", "ALL", "#0"}
_FREE: Final = "!authenticate"
_MOST: Final = 60_000  # characters: processes.run returns little more, and the last rules are the ones that count


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule as sudo lists it. file: where it stands, "" if sudo does not say. commands: those that it is for; one with
    `!` is forbidden."""

    file: str
    users: tuple[str, ...]
    commands: tuple[str, ...]
    needs_password: bool

    def decides_on(self, runner: str) -> bool:
        """Whether it is for the runner, as root. Patterns of commands are not understood."""
        named = {command.removeprefix("!") for command in self.commands}
        return not named.isdisjoint((runner, "ALL")) and not _AS_ROOT.isdisjoint(self.users)

    def allows(self, runner: str) -> bool:
        """Whether it lets the runner start without a password."""
        last = [command for command in self.commands if command.removeprefix("!") in (runner, "ALL")][-1:]
        return not self.needs_password and not any(command.startswith("!") for command in last)


def not_started(sudo: str, runner: str, why: str) -> Finding:
    """Why sudo does not let the caller start the runner. why: the first line that it printed."""
    rules, complaint = _rules([sudo, "-n", "-ll"])
    if not rules and not _NO_RULE.search(complaint):
        return access_findings.rules_not_listed(runner, why, complaint)
    rule = _applied([sudo, "-n", "-ll", "--", runner], rules, runner)
    if not any(runner in each.commands for each in rules):
        return access_findings.rule_missing(runner, why)
    if rule is None or rule.allows(runner):
        return access_findings.rule_applies(runner, why)
    return access_findings.rule_overruled(why, rule.commands, rule.file)


def of_user(sudo: str, runner: str, name: str) -> Finding:
    """Whether sudo lets the host user start the runner. Only root may ask."""
    rules, complaint = _rules([sudo, "-n", "-ll", "-U", name])
    if not rules and not _NO_RULE.search(complaint):
        return access_findings.user_rules_not_listed(name, complaint)
    rule = _applied([sudo, "-n", "-ll", "-U", name, "--", runner], rules, runner)
    if rule is not None and rule.allows(runner):
        return access_findings.user_allowed(name)
    if rule is None or not any(runner in each.commands for each in rules):
        return access_findings.user_rule_missing(name, runner)
    return access_findings.user_rule_overruled(name, rule.commands, rule.file)


def parse(listing: str) -> list[Rule]:
    """The rules in what `sudo -ll` prints in the C locale, in its order, which is that of sudoers(5)."""
    rules: list[Rule] = []
    for paragraph in re.split(r"^(?=[A-Za-z]+ (?:entry|Role):)", listing, flags=re.MULTILINE):
        first, *lines = paragraph.splitlines() or [""]
        found = _RULE.fullmatch(first)
        if found is None:
            continue
        facts = {match[1]: match[2] for match in map(_FACT.fullmatch, lines) if match is not None}
        rules.append(
            Rule(
                file=found[1] or "",
                users=tuple(facts.get("RunAsUsers", "root").split(", ")),
                commands=tuple(line.strip() for line in lines if line.startswith("\t")),
                needs_password=_FREE not in facts.get("Options", "").split(", "),
            )
        )
    return rules


def _applied(argv: Sequence[str], rules: Sequence[Rule], runner: str) -> Rule | None:
    """The rule that applies to the runner: the one that sudo names, or else the last that decides on it."""
    named = parse(processes.run(argv, accept=range(256)).output)
    found = named or [rule for rule in rules if rule.decides_on(runner)]
    return found[-1] if found else None


def _rules(argv: Sequence[str]) -> tuple[list[Rule], str]:
    """All rules that sudo lists, and what it printed first if there are none."""
    answer = processes.run(argv, accept=range(256))
    if len(answer.output) > _MOST:
        return [], access_findings.list_too_long()
    return parse(answer.output), answer.output.partition("\n")[0] or findings.exit_status(answer.status)
