"""An additional command, and an installation for the checks of `--sandbox-doctor`."""

from __future__ import annotations

import os
import pwd
from pathlib import Path
from typing import Any

import pytest

from pi_agent.cli import command_table
from pi_agent.policy import accounts, project_roots
from tests.support import people
from tests.support.commands import MANY
from tests.support.installations import Install, Installation


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Makes an installation, in a directory of its own, whose policy has the overrides."""
    # The agent is the user who runs the tests, which can be anybody; and pytest works below /tmp.
    monkeypatch.setattr(accounts, "owner", lambda policy: people.owner(policy.state_dir))
    monkeypatch.setattr(accounts, "of", lambda policy, caller: people.accounts_of(caller.home, policy.state_dir))
    monkeypatch.setattr(pwd, "getpwnam", lambda name: pwd.getpwuid(os.geteuid()))
    monkeypatch.setattr(project_roots, "RESERVED", ())

    def make(**overrides: Any) -> Installation:
        place = tmp_path / f"installation-{len(list(tmp_path.iterdir()))}"
        place.mkdir()
        return Installation(place, **overrides)

    return make


@pytest.fixture
def installation(install: Install) -> Installation:
    return install()


@pytest.fixture
def many(monkeypatch: pytest.MonkeyPatch) -> None:
    """Adds one command to the existing ones: tests.support.commands.MANY."""
    monkeypatch.setattr(command_table, "COMMANDS", (*command_table.COMMANDS, MANY))
