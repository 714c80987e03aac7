"""Gathering and bringing up to date all that a session is configured with, on a bench."""

from __future__ import annotations

from pi_agent.session.configuration import Configured

from pi_agent.session import configuration
from tests.support.bench import Bench


def bring_up(here: Bench, *, from_host: bool = True) -> Configured:
    """Do all that precedes staging."""
    notices: list[str] = []
    return configuration.bring_up(here.policy, here.caller, here.agent, here.state, notices.append, from_host=from_host)
