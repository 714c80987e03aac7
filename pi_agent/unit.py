"""The session's unit: the command that starts it, and running it to its end."""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from pi_agent import control, mounts, process, program, refusals, terminal
from pi_agent.policy import Policy, Tools
from pi_agent.records import record
from pi_agent.relay import Relay
from pi_agent.report import Report
from pi_agent.session import Session
from pi_agent.terminal import Terminal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

SLICE: Final = "pi-agent.slice"
# siginfo's si_code as ExecMainCode= shows it (sigaction(2)): a signal ended the process, with a core dump or without.
_BY_A_SIGNAL: Final = ("2", "3")


@record
class Start:
    """How to start a session: systemd-run's argv and environment (TERM and the like); whether on a terminal."""

    argv: list[str]
    environ: Mapping[str, str]
    terminal: bool


# Nobody inside could continue a stopped Pi: the terminal's shell is not its parent. That is why the kernel takes no
# notice of SIGTSTP's default action there (an orphaned process group, signal(7) and credentials(7)). But Pi, on Ctrl-Z,
# leaves its interface, signals its group and waits to be continued. So somebody in its group continues it, at once.
# $$ is the process that becomes Pi; a grandchild of it, since a program may wait for any child to end.
_AWAKE: Final = """
((
  trap 'kill -s CONT $$' TSTP
  exec 0<> <(:) &>/dev/null
  while :; do read -r; done
) &)
exec -- "$@"
"""


def owning_terminal(tools: Tools, command: Sequence[str]) -> list[str]:
    """The command in a session and process group of its own that own the terminal (setsid(1), --ctty); Ctrl-Z does not
    leave it waiting.

    systemd took the terminal before it made the namespace of process ids, so that from inside nobody seems to have it.
    """
    return [tools.setsid, "--ctty", tools.bash, "-p", "-c", _AWAKE, "awake", *command]


def command(policy: Policy, session: Session, properties: Sequence[str], *, terminal: bool) -> list[str]:
    """The systemd-run(1) command that starts the session. A pure function."""
    tools = policy.tools
    argv = [
        tools.systemd_run,
        "--quiet",
        "--wait",
        "--expand-environment=no",
        "--service-type=exec",
        f"--unit={session.unit}",
        f"--slice={SLICE}",
        "--description=Pi coding agent",
        # No tint of the terminal's background (since version 256).
        *(["--pty", "--background="] if terminal else ["--pipe"]),
    ]
    argv += [f"--property={each}" for each in properties]
    # Filters stay with a process and all that it starts (seccomp(2)).
    filtered = [tools.setpriv, "--no-new-privs", "--seccomp-filter", policy.system_call_filter, "--"]
    return [*argv, "--", *filtered, tools.bash, "-p", policy.launcher]


def conduct(
    tools: Tools,
    session: Session,
    start: Start,
    meanwhile: Callable[[], None],
    lap: program.Lap = program.untimed,
) -> int:
    """Run the session to its end, passing signals on, and return Pi's exit status. The unit has ended then.

    meanwhile: called while systemd starts the unit.

    Raises Refusal (69) when the unit did not come to run Pi.
    """
    before = terminal.seen(start.environ) if start.terminal else None
    try:
        with Report(session.report) as report:
            return _conduct(tools, session, start, meanwhile, report, before, lap)
    finally:
        if before is not None:
            before.close()


def _conduct(
    tools: Tools,
    session: Session,
    start: Start,
    meanwhile: Callable[[], None],
    report: Report,
    before: Terminal | None,
    lap: program.Lap,
) -> int:
    status = 0
    with Relay(tools, session.unit, report) as relay:
        # At a terminal systemd-run must stay in the foreground group, to read the keys and learn of resizes;
        # Ctrl-C arrives there as a byte. Elsewhere Ctrl-C signals the whole group, and must only reach us.
        if relay.cut_short is None:
            child = process.start(start.argv, start.environ, own_group=not start.terminal)
            relay.session_begins(child)
            meanwhile()
            begun = report.await_start(child)
            lap("session start")
            if begun:
                _release(session)
            status = process.wait(child)
            lap("session run")
    if relay.cut_short is None and not start.terminal and status == 0 == report.ended:
        return 0
    fallback = _end(tools, session.unit)
    # Nobody is left to write to the terminal. Who ended by itself has left it in order.
    killed = report.started and (report.ended is None or _by_a_signal(report.ended))
    if before is not None and (killed or _by_a_signal(status)):
        before.put_right()
    if relay.cut_short is not None:
        return 128 + relay.cut_short
    if start.terminal and report.ended == 128 + signal.SIGHUP and relay.ending is not None:
        # At a terminal sudo signals the whole group: systemd-run ends as well, and the terminal with it.
        return 128 + relay.ending
    if report.ended is not None:
        return report.ended
    if not report.started:
        raise refusals.session_not_started(session.unit)
    return fallback


def _by_a_signal(status: int) -> bool:
    return 128 < status <= 128 + signal.SIGRTMAX


def _release(session: Session) -> None:
    """Unmount what was staged: the unit has it in a namespace of its own. A file that something is mounted on can be
    neither renamed nor removed by its owner where the mount is seen (rename(2), EBUSY).

    What fails here is done by the guard in the end.
    """
    with suppress(OSError):
        mounts.unstage(session.mounts)


def _end(tools: Tools, unit: str) -> int:
    """See that the unit has ended, and return the status of one that was killed before it could report.

    systemd-run's own status is no proof: it dies before the unit when somebody kills it, and at a terminal it lets go
    of the unit when `^]` is typed three times.
    """
    facts = _facts(tools, unit)
    if facts.get("ActiveState") not in ("inactive", "failed"):
        control.stop(tools, unit)
        facts = _facts(tools, unit)
    control.forget(tools, unit)
    # Who is killed without a word and without systemd's noticing was killed by KILL: all else is reported.
    number = int(facts["ExecMainStatus"]) if facts.get("ExecMainCode") in _BY_A_SIGNAL else signal.SIGKILL
    return 128 + number


def _facts(tools: Tools, unit: str) -> dict[str, str]:
    names = "--property=ActiveState,ExecMainCode,ExecMainStatus"
    # Where systemd cannot be asked, nothing is known; that is no reason to end without a word on the session.
    output = process.run([tools.systemctl, "show", names, unit], accept=range(256)).output
    return {name: value for name, _, value in (line.partition("=") for line in output.splitlines())}
