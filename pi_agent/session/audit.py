"""What the journal keeps of a session: who started which project under which policy, and how it ended; and refusals.

No prompt, argument, variable or content is ever in an entry.

    journalctl -t pi-agent                                     everything
    journalctl -t pi-agent PI_AGENT_EVENT=refused              who was refused, and why
    journalctl PI_AGENT_HOST_USER=alice PI_AGENT_PROJECT_ROOT=/home/alice/p
"""

from __future__ import annotations

from pi_agent.linux import journald
from pi_agent.python.records import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

IDENTIFIER: Final = "pi-agent"
_NOTICE: Final = "5"
_INFO: Final = "6"


@record
class Known:
    """What the journal is to know of a launch: paths and names, each None until it is known."""

    policy: str
    host_user: str | None = None
    project_root: str | None = None
    unit: str | None = None

    def of_user(self, name: str) -> Known:
        """The same, and who asks: a name, or what sudo says where nobody is known by it."""
        return Known(self.policy, name, self.project_root, self.unit)

    def in_root(self, project_root: str | None) -> Known:
        """The same, and the project root, where one is needed."""
        return Known(self.policy, self.host_user, project_root, self.unit)

    def of_unit(self, unit: str) -> Known:
        """The same, and the session's unit."""
        return Known(self.policy, self.host_user, self.project_root, unit)

    def fields(self) -> dict[str, str]:
        """The journal's fields, of what is known."""
        named = {
            "PI_AGENT_POLICY": self.policy,
            "PI_AGENT_HOST_USER": self.host_user,
            "PI_AGENT_PROJECT_ROOT": self.project_root,
            "PI_AGENT_UNIT": self.unit,
        }
        return {name: value for name, value in named.items() if value is not None}


def started(known: Known) -> None:
    """Log that systemd was asked for the session's unit."""
    _log(known, f"session {known.unit} starts", _INFO, {"PI_AGENT_EVENT": "start"})


def ended(known: Known, status: int) -> None:
    """Log that a session is over. status: Pi's exit status."""
    outcome = {"PI_AGENT_EVENT": "end", "PI_AGENT_OUTCOME": str(status)}
    _log(known, f"session {known.unit} ended: {status}", _INFO, outcome)


def refused(known: Known, status: int, why: str) -> None:
    """Log that a launch was refused. why: the refusal's first line. A session that had started ends with this entry."""
    outcome = {"PI_AGENT_EVENT": "refused", "PI_AGENT_OUTCOME": str(status)}
    _log(known, f"refused: {why}", _NOTICE, outcome)


def _log(known: Known, message: str, priority: str, outcome: dict[str, str]) -> None:
    entry = {"MESSAGE": message, "PRIORITY": priority, "SYSLOG_IDENTIFIER": IDENTIFIER}
    journald.send({**entry, **outcome, **known.fields()})
