"""A unit as stand-ins for systemd play it, from start to end."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Final, cast

import pytest

from pi_agent.linux import journald, terminals
from pi_agent.linux.descriptors import Descriptors
from pi_agent.linux.terminals import Terminal
from pi_agent.messages.refusal import Refusal
from pi_agent.policy.policy_file import Tools
from pi_agent.session import aftermath, control_group, supervision
from pi_agent.session.audit import Known
from pi_agent.session.care import Care
from pi_agent.session.furnishing import Furnishing
from pi_agent.session.guard import Guard
from pi_agent.session.launch_plan import Plan
from pi_agent.session.session_names import Session
from pi_agent.session.signal_relay import Above, Relay
from pi_agent.session.systemd_run import Start
from pi_agent.session.unfinished import Client, Unfinished
from tests.support.fakes import Bin, no_limits, waits

NOTHING_ABOVE: Final = Above(os.getppid(), None)


class Running:
    """A unit as the stand-ins play it: systemd-run's script.

    is_gone: whether nothing of the unit is left when systemd-run has ended.
    """

    def __init__(self, tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.limited = no_limits(monkeypatch)
        self.bin = Bin(tmp / "bin")
        self.session = Session("u.service", str(tmp / "session"))
        self.is_gone = True
        monkeypatch.setattr(control_group, "is_gone", lambda unit: self.is_gone)
        monkeypatch.setattr(journald, "send", lambda entry: None)
        self.care = cast(Care, SimpleNamespace(has_unit=True))
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
        systemctl: str = "",
        *,
        started: bool = True,
        terminal: bool = False,
        furnish: Callable[[int], None] = lambda process: None,
    ) -> int:
        """Run the unit to its end, and return the session's status. body, systemctl: their scripts.

        started: whether launch.bash is let in, and reports, before systemd-run's script goes on.
        """
        Path(self.session.gate).unlink(missing_ok=True)
        report = f'{self.let_in}echo started >"{self.session.report}"\n' if started else ""
        ending = "[ $1 != is-active ] || exit 3"  # the unit ends as soon as it is asked to
        tools = self.bin.tools(systemd_run=report + body, systemctl=f"{systemctl}\n{ending}")
        start = Start((tools.systemd_run,), {"TERM": "xterm"}, terminal, {11: 1024})
        request = SimpleNamespace(policy=SimpleNamespace(tools=tools), session=self.session)
        return self._carry_out(cast(Plan, SimpleNamespace(request=request, start=start)), furnish)

    def _carry_out(self, plan: Plan, furnish: Callable[[int], None]) -> int:
        """What launch.carry_out does, from the start of the unit on. Closes what a launch leaves to the kernel."""
        tools, line = plan.request.policy.tools, supervision.line(self.session)
        screen = _screen(plan.start.environ) if plan.start.terminal else None
        kept = Descriptors()
        with Relay(tools, self.session.unit, line.report, NOTHING_ABOVE) as relay:
            try:
                given = SimpleNamespace(prepare=lambda: None, give=furnish)
                client = supervision.begin(plan, line, relay, cast(Furnishing, given))
                kept.hold(client.process)
                kept.hold(client.alive)
                running = unfinished(tools, self.session, client, line.report.pipe, screen)
                return aftermath.see_out(running, line.report, relay, self.care)
            except Refusal:
                if relay.cut_short is None:
                    raise
                return 128 + relay.cut_short
            finally:
                line.gate.close()
                line.report.close()
                kept.close()
                if screen is not None:
                    screen.close()


def _screen(environ: Mapping[str, str]) -> Terminal:
    """The terminal of the tests, or one of which nothing is seen."""
    return terminals.seen(environ) or Terminal(os.open("/dev/null", os.O_WRONLY | os.O_CLOEXEC), None, b"")


def unfinished(tools: Tools, session: Session, client: Client, report: int, screen: Terminal | None) -> Unfinished:
    """A session that runs, without a guard, locks and a project."""
    known, guard = Known("/policy.json"), Guard(0, -1)
    return Unfinished(tools, session, "pi", known, client, guard, report, -1, (), NOTHING_ABOVE, screen, None, None)


def waiting(condition: str) -> str:
    """Shell lines that wait for a condition, but not for ever: some twenty seconds, however fast the machine is."""
    again = "tries=$((tries + 1)); [ $tries -lt 2000 ] || exit 99; sleep 0.01"
    return f"tries=0; until {condition}; do {again}; done\n"


# The runner waits. A signal that arrives before that counts as too early.
LISTENING: Final = waiting("grep -q '^State:.S' /proc/$PPID/status")
