"""A session's names: its unit, its directory and the paths in that directory.

They are made of a random number, the host user's uid and, in the unit's name, a safe form of the user's name. No other
name that somebody else chose enters them.
"""

from __future__ import annotations

from pi_agent.python.records import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

STAGING: Final = "/run/pi-agent"
_UNIT_PREFIX: Final = "pi-agent-"
# All units of sessions, as systemctl(1) takes a pattern: they end with 16 hexadecimal digits.
UNITS: Final = f"{_UNIT_PREFIX}*-{'?' * 16}.service"


@record
class Session:
    """unit: the service's name. directory: its own, which only root can enter."""

    unit: str
    directory: str

    @property
    def lock(self) -> str:
        """The file whose flock(2) shows that a runner or guard takes care of the session."""
        return f"{self.directory}/lock"

    @property
    def request(self) -> str:
        """The file that tells launch.bash what to run (request_file.py)."""
        return f"{self.directory}/request"

    @property
    def about(self) -> str:
        """The file that describes the session, for `--sandbox-status` (running_sessions.py)."""
        return f"{self.directory}/about"

    @property
    def unfinished(self) -> str:
        """The file that tells the runner what it must know for the end (unfinished.py)."""
        return f"{self.directory}/unfinished"

    @property
    def record(self) -> str:
        """The file that says what ran by itself in the project when the session began (provenance.py)."""
        return f"{self.directory}/record"

    @property
    def exposed(self) -> str:
        """The file of hidden paths that stood open for a moment (renewal.py)."""
        return f"{self.directory}/exposed"

    @property
    def report(self) -> str:
        """The named pipe that launch.bash reports to (report.py)."""
        return f"{self.directory}/report"

    @property
    def gate(self) -> str:
        """The socket on which launch.bash waits to be let in (gate.py)."""
        return f"{self.directory}/gate"


def named(user: str, uid: int, number: str) -> Session:
    """The session of the host user that has this number, whether it exists or not."""
    return called(f"{STAGING}/{uid}", f"{_UNIT_PREFIX}{_unit_name(user)}-{number}")


def _unit_name(user: str) -> str:
    """A user's name as part of a unit's: systemd accepts ASCII letters, digits and a few others (systemd.unit(5))."""
    return "".join(char if char.isascii() and (char.isalnum() or char in "_.-") else "_" for char in user)


def called(place: str, name: str) -> Session:
    """The session whose directory has that name in place, its user's directory."""
    return Session(f"{name}.service", f"{place}/{name}")
