"""For sessions that have a guard: where they are, what stands in for systemctl, and which guards were started."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from pi_agent.linux import processes
from pi_agent.session import session_names
from tests.support.fakes import Bin
from tests.support.interpreters import HASTY_GUARD, importing


@pytest.fixture
def staging(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(session_names, "STAGING", str(tmp_path / "staging"))
    monkeypatch.setattr(sys, "executable", importing(tmp_path / "python", HASTY_GUARD))
    return tmp_path / "staging"


@pytest.fixture
def bin_(tmp_path: Path) -> Bin:
    return Bin(tmp_path / "bin")


@pytest.fixture
def guards(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The ids of the guards that are started."""
    found: list[int] = []
    start = processes.start_apart

    def remembered(*given: object, **named: object) -> int:
        found.append(start(*given, **named))  # type: ignore[arg-type]
        return found[-1]

    monkeypatch.setattr(processes, "start_apart", remembered)
    return found
