"""The session's unit: the command that starts it, and running it to its end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pi_agent.policy.policy_file import Policy, Tools
from pi_agent.python.records import record
from pi_agent.session.session_directory import Session

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

SLICE: Final = "pi-agent.slice"


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
