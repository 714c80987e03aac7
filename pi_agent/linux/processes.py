"""The one place that starts processes.

Argument lists only, never a shell; an environment built from nothing; standard input closed unless the process is
the session itself. posix_spawn(3) instead of the subprocess module, whose import alone costs a tenth of a launch.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping, Sequence

from pi_agent.messages import refusals
from pi_agent.python.records import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

# systemd-run and systemctl colour what they print and dress the terminal up unless told not to.
PLAIN_SYSTEMD: Final = {"SYSTEMD_COLORS": "0", "SYSTEMD_ADJUST_TERMINAL_TITLE": "0", "SYSTEMD_PAGER": "", "LC_ALL": "C"}
# Python ignores these for itself; an ignored signal would stay ignored in what it starts.
_PYTHON_IGNORES: Final = (signal.SIGPIPE, signal.SIGXFSZ)
# One of the file actions of os.posix_spawn.
_Action = tuple[int, int] | tuple[int, int, int] | tuple[int, int, str, int, int]


@record
class Finished:
    """A process that ended: its exit status (128 + n when signal n ended it) and what it wrote."""

    status: int
    output: str


def run(argv: Sequence[str], *, descriptors: Sequence[int] = (), accept: Sequence[int] = (0,)) -> Finished:
    """Run argv to its end, with standard output and error collected together.

    descriptors: file descriptors the process gets under the same numbers. accept: exit statuses that are not a
    failure. Raises Refusal (69) for any other, or when the program cannot be run.
    """
    memory = os.memfd_create("output")
    try:
        actions: list[_Action] = [
            (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
            (os.POSIX_SPAWN_DUP2, memory, 1),
            (os.POSIX_SPAWN_DUP2, memory, 2),
            *((os.POSIX_SPAWN_DUP2, number, number) for number in descriptors),
        ]
        pid = _spawn(list(argv), PLAIN_SYSTEMD, actions)
        status = wait(pid)
        output = os.pread(memory, 1 << 16, 0).decode("utf-8", "replace").strip()
    finally:
        os.close(memory)
    if status not in accept:
        raise refusals.tool_failed(list(argv), output or f"exit status {status}")
    return Finished(status, output)


def start(argv: Sequence[str], environ: Mapping[str, str], *, own_group: bool) -> int:
    """Start argv on our own standard streams and return its pid.

    own_group: put it into a process group of its own, so that a Ctrl-C meant for the session does not hit it.
    """
    return _spawn(list(argv), {**environ, **PLAIN_SYSTEMD}, [], own_group=own_group)


def wait(pid: int) -> int:
    """Wait for a child and return its exit status, 128 + n when signal n ended it."""
    _, status = os.waitpid(pid, 0)
    code = os.waitstatus_to_exitcode(status)
    return 128 - code if code < 0 else code


def _spawn(
    argv: list[str],
    environ: Mapping[str, str],
    actions: Sequence[_Action],
    *,
    own_group: bool = False,
) -> int:
    try:
        if own_group:
            return os.posix_spawn(
                argv[0], argv, environ, file_actions=actions, setsigmask=(), setsigdef=_PYTHON_IGNORES, setpgroup=0
            )
        return os.posix_spawn(argv[0], argv, environ, file_actions=actions, setsigmask=(), setsigdef=_PYTHON_IGNORES)
    except OSError as error:
        raise refusals.tool_failed(argv, error.strerror or str(error)) from error
