"""A session's names: its unit, its staging directory and what lies in that.

All are of our own choosing: a random number and the host user's uid, never a name that somebody else chose.
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
    """unit: the service's name. directory: its staging directory, which only root can enter."""

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
        """The file whose flock(2) says that somebody takes care of the session."""
        return f"{self.directory}/lock"

    @property
    def argv(self) -> str:
        """The file that says what to run, for launch.bash."""
        return f"{self.directory}/argv"

    @property
    def about(self) -> str:
        """The file that says what the session is, for `--sandbox-status` (running_sessions.py)."""
        return f"{self.directory}/about"

    @property
    def report(self) -> str:
        """The named pipe that launch.bash reports to (report.py)."""
        return f"{self.directory}/report"

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
        """The directory in which further paths of the host are staged, by number."""
        return f"{self.directory}/extras"

    @property
    def empty(self) -> tuple[str, str]:
        """An empty directory and an empty file, to stand in for what is hidden."""
        return (f"{self.directory}/empty-directory", f"{self.directory}/empty-file")

    @property
    def mounts(self) -> tuple[str, ...]:
        """Every place something is mounted on."""
        try:
            extras = [f"{self.extras}/{name}" for name in os.listdir(self.extras)]
        except FileNotFoundError:
            extras = []
        return (self.project, self.state, self.terminals, *extras)


def named(user: str, uid: int, number: str) -> Session:
    """The session of the host user that has this number, whether it is there or not."""
    return called(f"{STAGING}/{uid}", f"{_UNIT_PREFIX}{_unit_name(user)}-{number}")


def _unit_name(user: str) -> str:
    """A user's name as a part of a unit's: systemd takes ASCII letters, digits and a few signs (systemd.unit(5))."""
    return "".join(char if char.isascii() and (char.isalnum() or char in "_.-") else "_" for char in user)


def called(place: str, name: str) -> Session:
    """The session whose staging directory has that name in place, the directory of its user."""
    return Session(f"{name}.service", f"{place}/{name}")
