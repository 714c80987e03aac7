"""The systemd-run(1) command that starts a session's unit. Pure functions."""

from __future__ import annotations

from pi_agent.policy.policy_file import Policy, Tools
from pi_agent.python.records import record
from pi_agent.session.session_names import Session

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Final

SLICE: Final = "pi-agent.slice"


@record
class Start:
    """How to start a session: systemd-run's argv and environment (TERM at most), and whether on a terminal.

    rlimits: what it is limited to once it is set up, see namespace_limits.py.
    """

    argv: tuple[str, ...]
    environ: Mapping[str, str]
    terminal: bool
    rlimits: Mapping[int, int]


# Nobody inside could continue a stopped Pi, because the terminal's shell is not its parent. The kernel therefore
# ignores SIGTSTP's default action there (an orphaned process group, signal(7) and credentials(7)). But on Ctrl-Z, Pi
# leaves its interface, signals its group and waits to be continued. So a process in its group continues it at once. $$
# is the process that becomes Pi. The other one is its grandchild, since a program may wait for any child to end.
_AWAKE: Final = """
((
  trap 'kill -s CONT $$' TSTP
  exec 0<> <(:) &>/dev/null
  while :; do read -r; done
) &)
exec -- "$@"
"""


def owning_terminal(tools: Tools, command: Sequence[str]) -> list[str]:
    """The command in a session and process group of its own that own the terminal (setsid(1), --ctty).

    Ctrl-Z does not leave it waiting. systemd took the terminal before it made the PID namespace, so inside, the
    terminal seems to belong to nobody.
    """
    return [tools.setsid, "--ctty", tools.bash, "-p", "-c", _AWAKE, "awake", *command]


def connected(session: Session, root: str) -> list[str]:
    """The properties that give the unit its root directory, and launch.bash its request, report and gate."""
    return [
        f"RootDirectory={root}",
        # In the order that launch.bash expects, as descriptors 3, 4 and 5.
        f"OpenFile={session.request}:request:read-only",
        f"OpenFile={session.report}:report:append",
        f"OpenFile={session.gate}:gate",
    ]


def command(
    policy: Policy, session: Session, properties: Sequence[str], confinement: Sequence[str], *, terminal: bool
) -> tuple[str, ...]:
    """The systemd-run(1) command that starts the session. confinement: see file_access.py."""
    tools = policy.tools
    return (
        tools.systemd_run,
        "--quiet",
        "--wait",
        # Also a unit that failed is forgotten at once.
        "--collect",
        # Since version 258, systemd-run starts an agent that asks for passwords at a terminal: as root, on the user's.
        "--no-ask-password",
        "--expand-environment=no",
        "--service-type=exec",
        f"--unit={session.unit}",
        f"--slice={SLICE}",
        "--description=Pi coding agent",
        # Keep the terminal's background as it is; systemd-run tints it since version 256.
        *(["--pty", "--background="] if terminal else ["--pipe"]),
        *(f"--property={each}" for each in properties),
        "--",
        # Both apply to a process and all that it starts (landlock(7), seccomp(2)).
        *(tools.setpriv, "--no-new-privs", *confinement, "--seccomp-filter", policy.system_call_filter, "--"),
        *(tools.bash, "-p", policy.launcher),
    )
