"""What the journal keeps of a session: who started which project under which policy, and how it ended; and refusals.

Entries go to journald by its native protocol (systemd's JOURNAL_NATIVE_PROTOCOL), in which a value may hold any bytes:
no name can forge a field or a second line. No prompt, argument, variable or content is ever among them.

    journalctl -t pi-agent                                     everything
    journalctl -t pi-agent PI_AGENT_EVENT=refused              who was refused, and why
    journalctl PI_AGENT_HOST_USER=alice PI_AGENT_PROJECT_ROOT=/home/alice/p
"""

from __future__ import annotations

from collections.abc import Mapping

from pi_agent.linux import journald

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

IDENTIFIER: Final = "pi-agent"

_NOTICE: Final = "5"

_INFO: Final = "6"


def started(facts: Mapping[str, str]) -> None:
    """A session's unit was asked for. facts: see `fields`; UNIT among them."""
    entry = {"MESSAGE": f"session {facts['UNIT']} starts", "PRIORITY": _INFO, "PI_AGENT_EVENT": "start"}
    journald.send({**entry, **fields(facts)})


def ended(facts: Mapping[str, str], outcome: str) -> None:
    """A session is over. outcome: Pi's exit status."""
    entry = {"MESSAGE": f"session {facts['UNIT']} ended: {outcome}", "PRIORITY": _INFO, "PI_AGENT_EVENT": "end"}
    journald.send({**entry, "PI_AGENT_OUTCOME": outcome, **fields(facts)})


def refused(facts: Mapping[str, str], status: int, why: str) -> None:
    """A launch was refused. why: the refusal's first line. For a session that had its start, this is its end."""
    entry = {"MESSAGE": f"refused: {why}", "PRIORITY": _NOTICE, "PI_AGENT_EVENT": "refused"}
    journald.send({**entry, "PI_AGENT_OUTCOME": str(status), **fields(facts)})


def fields(facts: Mapping[str, str]) -> dict[str, str]:
    """Journal fields for facts: HOST_USER, PROJECT_ROOT, POLICY and UNIT, each where known."""
    return {f"PI_AGENT_{name}": value for name, value in facts.items()}
