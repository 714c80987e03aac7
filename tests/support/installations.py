"""An installation on a bench, as the checks of `--sandbox-doctor` see it, with stand-ins for the tools."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from pi_agent.cli.doctor.context import Context
from pi_agent.messages.finding import Finding
from tests.support.bench import Bench, bench
from tests.support.fakes import Bin
from tests.support.policies import replaced


class Installation:
    """top: the directory that holds everything."""

    def __init__(self, top: Path, **overrides: Any) -> None:
        self.top = top
        self.bin = Bin(top / "bin")
        self.here: Bench = bench(top, **overrides)

    def context(self, **bodies: str) -> Context:
        """The context of a check. bodies: of the tools, by attribute name."""
        policy = replaced(self.here.policy, tools=self.bin.tools(**bodies))
        return Context(policy, self.here.caller, as_root=True)


Install = Callable[..., Installation]


def only(found: Iterable[Finding]) -> Finding:
    """The only finding."""
    [finding] = found
    return finding


def grades(found: Iterable[Finding]) -> list[str]:
    """The grades of findings, in order."""
    return [finding.grade for finding in found]
