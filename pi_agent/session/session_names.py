"""A session's names: its unit, its staging directory and the paths in that directory.

They are made of a random number, the host user's uid and, in the unit's name, a safe form of the user's name. No other
name that somebody else chose enters them.
"""

from __future__ import annotations

import os

from pi_agent.python.records import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

STAGING: Final = "/run/pi-agent"
_UNIT_PREFIX: Final = "pi-agent-"
UNITS: Final = f"{_UNIT_PREFIX}*.service"


@record
class Session:
    """unit: the service's name. directory: the staging directory, which only root can enter."""

    unit: str
    directory: str

    @property
    def project(self) -> str:
        """Where the project root is staged."""
        return f"{self.directory}/project"

    @property
    def state(self) -> str:
        """Where the state tree is staged."""
        return f"{self.directory}/state"

    @property
    def root(self) -> str:
        """The directory that becomes the sandbox's root."""
        return f"{self.directory}/root"

    @property
    def lock(self) -> str:
        """The file whose flock(2) shows that a runner or guard takes care of the session."""
        return f"{self.directory}/lock"

    @property
    def argv(self) -> str:
        """The file that tells launch.bash what to run."""
        return f"{self.directory}/argv"

    @property
    def about(self) -> str:
        """The file that describes the session, for `--sandbox-status` (running_sessions.py)."""
        return f"{self.directory}/about"

    @property
    def report(self) -> str:
        """The named pipe that launch.bash reports to (report.py)."""
        return f"{self.directory}/report"

    @property
    def gate(self) -> str:
        """The socket on which launch.bash waits to be let in (gate.py)."""
        return f"{self.directory}/gate"

    @property
    def record(self) -> str:
        """The file that says what ran by itself in the project when the session began (provenance.py)."""
        return f"{self.directory}/record"

    @property
    def environment(self) -> str:
        """The session's env file."""
        return f"{self.directory}/environment"

    @property
    def terminals(self) -> str:
        """Where the session's own pseudo-terminals are staged."""
        return f"{self.directory}/terminals"

    @property
    def extras(self) -> str:
        """The directory in which further host paths are staged, by number."""
        return f"{self.directory}/extras"

    @property
    def empty(self) -> tuple[str, str]:
        """An empty directory and an empty file, to mount over what is hidden."""
        return (f"{self.directory}/empty-directory", f"{self.directory}/empty-file")

    @property
    def mounts(self) -> tuple[str, ...]:
        """Every mount point."""
        try:
            extras = [f"{self.extras}/{name}" for name in os.listdir(self.extras)]
        except FileNotFoundError:
            extras = []
        return (self.project, self.state, self.terminals, *extras)


def named(user: str, uid: int, number: str) -> Session:
    """The session of the host user that has this number, whether it exists or not."""
    return called(f"{STAGING}/{uid}", f"{_UNIT_PREFIX}{_unit_name(user)}-{number}")


def _unit_name(user: str) -> str:
    """A user's name as part of a unit's: systemd accepts ASCII letters, digits and a few others (systemd.unit(5))."""
    return "".join(char if char.isascii() and (char.isalnum() or char in "_.-") else "_" for char in user)


def called(place: str, name: str) -> Session:
    """The session whose staging directory has that name in place, its user's directory."""
    return Session(f"{name}.service", f"{place}/{name}")
