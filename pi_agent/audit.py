"""What the journal keeps of a session: who started which project under which policy, and how it ended; and refusals.

Entries go to journald by its native protocol (systemd's JOURNAL_NATIVE_PROTOCOL), in which a value may hold any bytes:
no name can forge a field or a second line. No prompt, argument, variable or content is ever among them.

    journalctl -t pi-agent                                     everything
    journalctl -t pi-agent PI_AGENT_EVENT=refused              who was refused, and why
    journalctl PI_AGENT_HOST_USER=alice PI_AGENT_PROJECT_ROOT=/home/alice/p
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Final

SOCKET: Final = "/run/systemd/journal/socket"
IDENTIFIER: Final = "pi-agent"
_NOTICE: Final = "5"
_INFO: Final = "6"


def started(unit: str, facts: Mapping[str, str]) -> None:
    """A session's unit was asked for. facts: see `fields`."""
    _send({"MESSAGE": f"session {unit} starts", "PRIORITY": _INFO, "PI_AGENT_EVENT": "start", **fields(facts, unit)})


def ended(unit: str, facts: Mapping[str, str], outcome: str) -> None:
    """A session is over. outcome: Pi's exit status, or why there is none."""
    entry = {"MESSAGE": f"session {unit} ended: {outcome}", "PRIORITY": _INFO, "PI_AGENT_EVENT": "end"}
    _send({**entry, "PI_AGENT_OUTCOME": outcome, **fields(facts, unit)})


def refused(facts: Mapping[str, str], status: int, why: str) -> None:
    """A launch was refused. why: the refusal's first line."""
    entry = {"MESSAGE": f"refused: {why}", "PRIORITY": _NOTICE, "PI_AGENT_EVENT": "refused"}
    _send({**entry, "PI_AGENT_OUTCOME": str(status), **fields(facts, "")})


def fields(facts: Mapping[str, str], unit: str) -> dict[str, str]:
    """Journal fields for facts (HOST_USER, PROJECT_ROOT, POLICY, each where known) and the unit, if there is one."""
    found = {f"PI_AGENT_{name}": value for name, value in facts.items()}
    return {**found, "PI_AGENT_UNIT": unit} if unit else found


def _send(entry: Mapping[str, str]) -> None:
    """Hand an entry to journald. A journal that cannot be reached stops nobody from working."""
    import socket  # only here, and only while systemd is busy with something of ours

    content = b"".join(_field(name, value) for name, value in {**entry, "SYSLOG_IDENTIFIER": IDENTIFIER}.items())
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as journal:
            journal.sendto(content, socket.MSG_DONTWAIT, SOCKET)
    except OSError:
        pass


def _field(name: str, value: str) -> bytes:
    data = value.encode("utf-8", "surrogateescape")
    return name.encode() + b"\n" + struct.pack("<Q", len(data)) + data + b"\n"
