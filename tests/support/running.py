"""A unit as stand-ins for systemd play it, from start to end."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from pi_agent.session import supervision
from pi_agent.session.session_names import Session
from pi_agent.session.systemd_run import Start
from tests.support.fakes import Bin, no_limits, waits


class Running:
    """A unit as the stand-ins play it: systemd-run's script, and the output of `systemctl show`.

    started: whether launch.bash reports before the script goes on.
    """

    def __init__(self, tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.limited = no_limits(monkeypatch)
        self.bin = Bin(tmp / "bin")
        self.session = Session("u.service", str(tmp / "session"))
        os.mkdir(self.session.directory)
        os.mkfifo(self.session.report)

    @property
    def let_in(self) -> str:
        """A shell line with which launch.bash waits to be let in."""
        return f"{waits(self.session.directory)} || exit 99\n"

    def ended(self, status: int) -> str:
        """A shell line with which launch.bash reports the end."""
        return f'echo ended {status} >"{self.session.report}"\n'

    def run(
        self,
        body: str,
        show: str = "",
        systemctl: str = "",
        *,
        started: bool = True,
        terminal: bool = False,
        furnish: Callable[[int], None] = lambda process: None,
    ) -> int:
        said = "\n".join(f"echo {line}" for line in show.split())
        Path(self.session.gate).unlink(missing_ok=True)
        report = f'{self.let_in}echo started >"{self.session.report}"\n' if started else ""
        show = f"[ $1 != show ] || {{ {said or ':'}\n}}"
        ending = "[ $1 != is-active ] || exit 3"  # the unit ends as soon as it is asked to
        tools = self.bin.tools(systemd_run=report + body, systemctl=f"{systemctl}\n{show}\n{ending}")
        start = Start((tools.systemd_run,), {"TERM": "xterm"}, terminal, {11: 1024})
        return supervision.run(tools, self.session, start, furnish)


def facts(code: int, status: int, state: str = "failed") -> str:
    """The output of `systemctl show` for a unit that has ended."""
    return f"ActiveState={state} ExecMainCode={code} ExecMainStatus={status}"


def waiting(condition: str) -> str:
    """Shell lines that wait for a condition, but not for ever: some twenty seconds, however fast the machine is."""
    again = "tries=$((tries + 1)); [ $tries -lt 2000 ] || exit 99; sleep 0.01"
    return f"tries=0; until {condition}; do {again}; done\n"


# The runner waits for its child. A signal that arrives before that counts as too early.
LISTENING: Final = waiting("grep -q '^State:.S' /proc/$PPID/status")
