"""Journal entries: who started which project under which policy, how the session ended, and refusals.

No entry ever holds a prompt, an argument, a variable or file content.

    journalctl -t pi-agent                                     everything
    journalctl -t pi-agent PI_AGENT_EVENT=refused              who was refused, and why
    journalctl -t pi-agent PI_AGENT_EVENT=self-running         what sessions left that the host may run by itself
    journalctl PI_AGENT_HOST_USER=alice PI_AGENT_PROJECT_ROOT=/home/alice/p
"""

from __future__ import annotations

from pi_agent.linux import journald
from pi_agent.messages.quoting import escaped
from pi_agent.python.records import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Final

IDENTIFIER: Final = "pi-agent"
_NOTICE: Final = "5"
_INFO: Final = "6"
_PATHS_AT_MOST: Final = 200


@record
class Known:
    """What is known of a launch, for the journal: paths and names, each None until it is known."""

    policy: str
    host_user: str | None = None
    project_root: str | None = None
    unit: str | None = None

    def of_user(self, name: str) -> Known:
        """A copy with the host user: the name, or the uid that sudo reports as long as no name is known."""
        return Known(self.policy, name, self.project_root, self.unit)

    def in_root(self, project_root: str | None) -> Known:
        """A copy with the project root, None if none is needed."""
        return Known(self.policy, self.host_user, project_root, self.unit)

    def of_unit(self, unit: str) -> Known:
        """A copy with the session's unit."""
        return Known(self.policy, self.host_user, self.project_root, unit)

    def fields(self) -> dict[str, str]:
        """The journal's fields, for what is known."""
        named = {
            "PI_AGENT_POLICY": self.policy,
            "PI_AGENT_HOST_USER": self.host_user,
            "PI_AGENT_PROJECT_ROOT": self.project_root,
            "PI_AGENT_UNIT": self.unit,
        }
        return {name: value for name, value in named.items() if value is not None}


def started(known: Known) -> None:
    """Log that systemd was asked to start the session's unit."""
    _log(known, f"session {known.unit} starts", _INFO, {"PI_AGENT_EVENT": "start"})


def ended(known: Known, status: int) -> None:
    """Log that a session has ended. status: Pi's exit status."""
    outcome = {"PI_AGENT_EVENT": "end", "PI_AGENT_OUTCOME": str(status)}
    _log(known, f"session {known.unit} ended: {status}", _INFO, outcome)


def uncovered(known: Known, path: str) -> None:
    """Log that a path was replaced on the host while a session ran, and has been covered again."""
    message = f"session {known.unit}: {escaped(path)} was replaced, and is protected again"
    _log(known, message, _NOTICE, {"PI_AGENT_EVENT": "uncovered", "PI_AGENT_PATH": path})


def refused(known: Known, status: int, why: str) -> None:
    """Log that a launch was refused. why: the refusal's first line. It also ends a session that had started."""
    outcome = {"PI_AGENT_EVENT": "refused", "PI_AGENT_OUTCOME": str(status)}
    _log(known, f"refused: {why}", _NOTICE, outcome)


def self_running(known: Known, paths: Sequence[str], unseen: Sequence[str]) -> None:
    """Log that a session has left files that the host may run by itself. unseen: places that nobody could look at."""
    message = f"session {known.unit} left {len(paths)} files that the host may run by itself"
    outcome = {"PI_AGENT_EVENT": "self-running", "PI_AGENT_PATHS": _listed(paths), "PI_AGENT_UNSEEN": _listed(unseen)}
    _log(known, message, _NOTICE, outcome)


def disarmed(known: Known, paths: Sequence[str], failed: Sequence[str]) -> None:
    """Log that such files were disarmed. failed: those that could not be."""
    message = f"{len(paths)} files of session {known.unit} were disarmed, {len(failed)} could not be"
    outcome = {"PI_AGENT_EVENT": "disarmed", "PI_AGENT_PATHS": _listed(paths), "PI_AGENT_FAILED": _listed(failed)}
    _log(known, message, _NOTICE, outcome)


def _listed(paths: Sequence[str]) -> str:
    """One path a line, escaped. An entry is one datagram, so there is a limit."""
    return "\n".join(escaped(path) for path in paths[:_PATHS_AT_MOST])


def _log(known: Known, message: str, priority: str, outcome: dict[str, str]) -> None:
    entry = {"MESSAGE": message, "PRIORITY": priority, "SYSLOG_IDENTIFIER": IDENTIFIER}
    journald.send({**entry, **outcome, **known.fields()})
