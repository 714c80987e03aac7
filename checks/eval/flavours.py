"""The kinds of nixpkgs that the cases run under."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from .expect import CheckFailedError
from .nix import STAND_IN, evaluate, path_expression


@dataclass(frozen=True)
class Flavour:
    """A `pkgs` to run the cases under: its name in the report, and a Nix expression for it."""

    name: str
    pkgs: str


@dataclass(frozen=True)
class Results:
    """What cases.nix returns; each case has `want` and `got`."""

    cases: dict[str, dict[str, Any]]
    summaries: object
    evaluations: int


def wanted() -> Iterator[Flavour]:
    """The stand-in, then those that the environment names."""
    yield Flavour("stand-in", STAND_IN)
    if library := os.environ.get("PI_AGENT_NIXPKGS_LIB"):
        yield Flavour("nixpkgs' lib", f"import ./checks/nixpkgs {{ lib = import {path_expression(library)}; }}")
    if nixpkgs := os.environ.get("PI_AGENT_NIXPKGS"):
        yield Flavour("nixpkgs", f"import {path_expression(nixpkgs)} {{ }}")


def results(flavour: Flavour) -> Results:
    """Evaluate the cases under one flavour. A case that cannot be evaluated has the error as its `got`."""
    everything = f"import ./checks/eval/cases.nix {{ pkgs = {flavour.pkgs}; }}"
    try:
        return Results(**evaluate(everything))
    except CheckFailedError:
        # One of them fails in a way that Nix cannot catch: find out which.
        names = evaluate(f"builtins.attrNames ({everything}).cases")
        cases = {name: alone(f"({everything}).cases.{json.dumps(name)}") for name in names}
        return Results(cases, alone(f"({everything}).summaries"), evaluate(f"({everything}).evaluations"))


def alone(expression: str) -> Any:
    """The value of an expression, or a failed case with the error."""
    try:
        return evaluate(expression)
    except CheckFailedError as error:
        return {"want": "a value", "got": str(error)}


def normalised(summaries: object) -> object:
    """Summaries without store paths: two kinds of nixpkgs have different builds of the same program."""
    text = re.sub(r"/nix/store/[0-9a-z]{32}-[^/\"\\]*", "<package>", json.dumps(summaries))
    # The host decides where the setuid sudo is.
    text = re.sub(r'"sudo": "[^"]*/sudo"', '"sudo": "<sudo>"', text)
    return json.loads(re.sub(r'("shell": "<package>)[^"]*"', r'\1"', text))
