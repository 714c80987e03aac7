"""Usage: checks/eval/run [--docs]

Check what Nix makes of the module, the stand-in for nixpkgs and the flake. Print one line for each check, then how many
passed and failed. With --docs, print docs/options.md instead, as the module defines it (`make docs` writes it).

Runs as any user wherever `nix` is, without network, and writes nothing but store paths.

The cases of cases.nix run under the stand-in for nixpkgs (checks/nixpkgs). Two environment variables name more to run
them under; the results must then be the same as under the stand-in:

    PI_AGENT_NIXPKGS      a nixpkgs source tree
    PI_AGENT_NIXPKGS_LIB  nixpkgs' `lib` directory alone, under the stand-in's packages and options
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from . import cookbook, flake, flavours, policy, programs, stand_in, startup
from .expect import CheckFailedError, same
from .nix import STAND_IN, evaluate
from .report import Report

# The report names each by its docstring.
CHECKS: Final[tuple[Callable[[], None], ...]] = (
    *flake.CHECKS,
    *cookbook.CHECKS,
    *programs.CHECKS,
    *startup.CHECKS,
    *policy.CHECKS,
    *stand_in.CHECKS,
)

MOST_EVALUATIONS: Final = 40

REFERENCE: Final = f"""
let
  pkgs = {STAND_IN};
in
import ./checks/eval/reference.nix {{
  inherit (pkgs) lib;
  options = (pkgs.nixos [ ./module.nix ]).options.m3ta.pi-agent;
}}
"""


def check_cases(report: Report) -> Iterator[str]:
    """Check the cases under every flavour; yield for each how much that was."""
    stand_in_summaries: object = None
    for flavour in flavours.wanted():
        found = flavours.results(flavour)
        for name, case in found.cases.items():
            with report.check(f"{flavour.name}: {name}"):
                same(case["want"], case["got"])
        summaries = flavours.normalised(found.summaries)
        if stand_in_summaries is None:
            stand_in_summaries = summaries
        else:
            with report.check(f"{flavour.name}: policy and configuration are those of the stand-in"):
                same(stand_in_summaries, summaries)
        with report.check(f"{flavour.name}: the cases share the evaluations of NixOS, which take seconds each"):
            if found.evaluations > MOST_EVALUATIONS:
                raise CheckFailedError(f"{found.evaluations} are more than {MOST_EVALUATIONS}: see configurations/")
        yield f"{flavour.name}: {len(found.cases)} cases, {found.evaluations} evaluations"


def check_others(report: Report) -> None:
    """Check everything that is not a case."""
    for check in CHECKS:
        with report.check((check.__doc__ or check.__name__).rstrip(".")):
            check()


def main(arguments: Sequence[str]) -> int:
    """Run the checks, or print the reference of options; return the exit status."""
    if arguments == ["--docs"]:
        print(evaluate(REFERENCE), end="")
        return 0
    if arguments:
        asked = arguments == ["--help"]
        print(__doc__, file=sys.stdout if asked else sys.stderr)
        return 0 if asked else 64

    report = Report()
    counts = list(check_cases(report))
    check_others(report)
    print(f"{report.passed} passed, {report.failed} failed", *counts, sep="\n")
    return 1 if report.failed else 0
