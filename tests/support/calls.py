"""Calls a sandbox command's module as the runner does, on a bench."""

from __future__ import annotations

from pi_agent.cli import parsing
from pi_agent.cli.call import Call
from pi_agent.policy.policy_file import Tools
from tests.support.bench import Bench
from tests.support.policies import replaced


def call_of(here: Bench, *words: str, tools: Tools | None = None) -> Call:
    """The call with these words, by alice."""
    policy = here.policy if tools is None else replaced(here.policy, tools=tools)
    return Call(policy, here.accounts, parsing.parse(words, policy.command_name))
