"""Simulated running sessions."""

from __future__ import annotations

import pytest

from pi_agent.cli.commands import stop
from pi_agent.session import running_sessions, systemctl
from pi_agent.session.running_sessions import RunningSession
from pi_agent.session.session_names import Session


def session(number: int, root: str | None = "/home/alice/p") -> RunningSession:
    """A session of alice's."""
    own = Session(f"pi-agent-alice-{number}.service", f"/run/pi-agent/1000/{number}")
    return RunningSession(own, f"id{number}", 1_700_000_000, root, root)


class Sessions:
    """The sessions that run from now on. rounds: how often each must be stopped before it ends; stopped: the units."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *each: RunningSession, rounds: int = 1) -> None:
        self.stopped: list[str] = []
        self.rounds = rounds
        monkeypatch.setattr(running_sessions, "of_user", lambda uid: list(each))
        monkeypatch.setattr(running_sessions, "is_running", lambda own: self.stopped.count(own.unit) < self.rounds)
        monkeypatch.setattr(systemctl, "stop", lambda tools, unit: self.stopped.append(unit))
        monkeypatch.setattr(stop, "_ROUND", 0.01)
        monkeypatch.setattr(stop, "_POLL", 0.001)
