"""A finding: what one check of `--sandbox-doctor` says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from pi_agent.messages.refusal import EX_CONFIG, EX_UNAVAILABLE, Refusal

OK: Final = "ok"
WARN: Final = "warn"
FAIL: Final = "FAIL"


@dataclass(frozen=True, slots=True)
class Finding:
    """grade: one of the three above. name: of what was checked. what: one line that says what was found. remedy: lines
    that say what to do, shown unless the grade is OK. status: the exit status of a failure."""

    grade: str
    name: str
    what: str
    remedy: str = ""
    status: int = EX_CONFIG

    def __str__(self) -> str:
        line = f"{self.grade:<4}  {self.name:<14} {self.what}"
        rest = [f"{'':<21}{row}" for row in self.remedy.split("\n")] if self.grade != OK else []
        return "\n".join([line, *rest]).rstrip()


def refused(name: str, refusal: Refusal) -> Finding:
    """The finding of a check that meets the refusal of a launch."""
    status = EX_UNAVAILABLE if refusal.status == EX_UNAVAILABLE else EX_CONFIG
    return Finding(FAIL, name, refusal.what, refusal.remedy, status)
