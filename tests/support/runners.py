"""The runner as sudo starts it, on a bench for launches."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

import runner
from pi_agent.cli import entry_point
from pi_agent.linux import limits
from pi_agent.linux.identities import Identity
from pi_agent.policy import accounts
from tests.support import policies
from tests.support.launching import Launching


class Runner(Launching):
    """The runner as sudo starts it for alice. file: the policy."""

    def __init__(
        self, top: Path, monkeypatch: pytest.MonkeyPatch, agent: Identity | None = None, **overrides: Any
    ) -> None:
        self._accounts = (accounts.through_sudo, accounts.of, accounts.owner)
        super().__init__(top, monkeypatch, agent, **overrides)
        self.monkeypatch = monkeypatch
        self.file = self.policy_file()
        monkeypatch.setattr(runner, "POLICY", str(self.file))
        monkeypatch.setattr(limits, "drop_inherited", lambda: None)  # its effect would last for the following tests
        monkeypatch.setattr(accounts, "through_sudo", lambda policy, environ: self.caller)
        monkeypatch.setenv("SUDO_UID", "1000")

    def run(self, *arguments: str) -> int:
        """Run it, and return the exit status."""
        self.monkeypatch.setattr(sys, "argv", ["runner", *arguments])
        return entry_point.run("pi", runner.main)

    def command(self) -> tuple[str, ...]:
        """What ran inside."""
        return self.asked().command

    def ask_as(self, uid: str) -> None:
        """Become the user that sudo names so."""
        self.monkeypatch.setattr(accounts, "through_sudo", self._accounts[0])
        self.monkeypatch.setenv("SUDO_UID", uid)

    def ask_the_machine_for_the_agent(self) -> None:
        """Look for the agent among the machine's users."""
        self.monkeypatch.setattr(accounts, "of", self._accounts[1])
        self.monkeypatch.setattr(accounts, "owner", self._accounts[2])

    def allow(self, **overrides: Any) -> None:
        """Change the policy."""
        self._overrides |= overrides
        self.policy = policies.frozen(**self._overrides)
        self.policy_file()
