"""sync's own judge of directories, which `trusts_the_temporary_directory` in conftest.py replaces for every test."""

from __future__ import annotations

from typing import Final

import pytest

from pi_agent.state import sync_directory

_ONLY_ROOT_CHANGES: Final = sync_directory._only_root_changes


def judge_directories(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let sync judge for real whether only root can change a directory."""
    monkeypatch.setattr(sync_directory, "_only_root_changes", _ONLY_ROOT_CHANGES)


def trust_directories(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let sync take any directory for one that only root can change."""
    monkeypatch.setattr(sync_directory, "_only_root_changes", lambda directory: None)
