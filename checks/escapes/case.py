"""Defines an attempt to escape, and when it counts as denied. Pure data, which the unit tests read too.

A denial is a named answer. An attempt that fails for an unexpected reason, such as a missing program or a misspelt
path, proves nothing; neither does one whose control fails.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, TypeVar

# The promises of the security table in README.md: key → what cannot be done.
PROMISES: Final[dict[str, str]] = {
    "places": "leave the project: see or change a place of the host that was not given",
    "homes": "read a home, a project beside the root or another person's files",
    "system": "write to the system",
    "protected": "change or replace what runs by itself on the host",
    "hidden": "see a secret below the root",
    "state": "see the state or the sessions of another host user's agent",
    "root": "have root follow what was planted for the next launch",
    "next": "have the next session load an extension or instruction that was planted in Pi's configuration",
    "processes": "see, signal or inspect a process outside",
    "privileges": "become somebody else, or ask a service to act for it",
    "setuid": "make a setuid file or a file with capabilities, or gain by one",
    "devices": "use a device",
    "kernel": "reach the parts of the kernel that sandboxes are left by",
    "secrets": "read a secret that was not given to this session",
    "network": "reach what the policy denies, send raw packets, change the network",
    "nix": "change the store, or have Nix's daemon act beyond an untrusted user",
    "terminal": "type at the user's shell, or put escape sequences into our messages",
    "afterwards": "leave a process or a file of the machine behind",
}

WORKS: Final = "works"
NOTHING: Final = "nothing"


@dataclass(frozen=True, slots=True)
class Control:
    """The same attempt where nothing forbids it, or the nearest one that a shared machine allows.

    who: `root`, `agent` (the account of alice's agents, outside the sandbox), `alice`, or a variant, inside. attempt:
    what is done, if it differs. gives: the answers that prove the attempt real.
    """

    who: str
    attempt: str = ""
    gives: tuple[str, ...] = (WORKS,)


@dataclass(frozen=True, slots=True)
class Case:
    """One attempt. name: unique in its group. promise: a key of PROMISES. tries: a description.

    attempt: Python that inside.py runs in the sandbox. denied: the answers that are a denial, see `matches`. variant:
    the command whose sandbox it is. absent, unchanged: a path, or the name of a fact that is one, which must not exist,
    or must be unchanged, outside afterwards. Only for an attempt whose success would be visible there.
    """

    name: str
    promise: str
    tries: str
    attempt: str
    denied: tuple[str, ...]
    control: Control
    variant: str = "pi-probe"
    absent: str = ""
    unchanged: str = ""
    group: str = ""

    @property
    def id(self) -> str:
        """The name that README.md uses."""
        return f"{self.group}::{self.name}"


def grouped(group: str, *cases: Case) -> tuple[Case, ...]:
    """These cases with the name of their group."""
    return tuple(replace(case, group=group) for case in cases)


def matches(answer: str, expected: tuple[str, ...]) -> bool:
    """Whether an answer is one of these: a word (`EPERM`, `works`, `nothing`), or a pattern of `exit STATUS: TEXT`."""
    return any(answer == one or (one.startswith("exit") and re.match(one, answer)) for one in expected)


F = TypeVar("F", bound=Callable[..., object])


def watched(case: Case, facts: Mapping[str, Any]) -> list[str]:
    """The paths outside that a case must leave unchanged."""
    names = (name for name in (case.absent, case.unchanged) if name)
    return [name if name.startswith("/") else facts[name] for name in names]


def attempt(promise: str, tries: str) -> Callable[[F], F]:
    """Mark a test as an attempt that a record cannot express. The table lists it under its function's name."""
    assert promise in PROMISES, promise

    def mark(function: F) -> F:
        function.__dict__["attempt"] = (promise, tries)
        return function

    return mark


def grant(group: str, works: str) -> Callable[[F], F]:
    """Mark a test as a grant that must hold besides the denials of a group."""

    def mark(function: F) -> F:
        function.__dict__["grant"] = (group, works)
        return function

    return mark
