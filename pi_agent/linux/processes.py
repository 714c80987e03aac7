"""The only place that starts processes.

Argument lists only, never a shell. The environment is built from nothing. Standard input is /dev/null unless the
process is the session itself. Uses posix_spawn(3): importing the subprocess module alone would take a tenth of a
launch.
"""

from __future__ import annotations

import fcntl
import os
import select

from pi_agent.messages import refusals
from pi_agent.python.c_library import libc
from pi_agent.python.records import record
from pi_agent.python.standard import signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Final

# By default, systemd-run and systemctl colour their output and change the terminal's title.
PLAIN_SYSTEMD: Final = {"SYSTEMD_COLORS": "0", "SYSTEMD_ADJUST_TERMINAL_TITLE": "0", "SYSTEMD_PAGER": "", "LC_ALL": "C"}
# Python ignores these signals, and a child would inherit that.
_PYTHON_IGNORES: Final = (signal.SIGPIPE, signal.SIGXFSZ)
_PR_SET_PDEATHSIG: Final = 1
# A file action of os.posix_spawn.
_Action = tuple[int, int] | tuple[int, int, int] | tuple[int, int, str, int, int]


@record
class Finished:
    """A process that has ended: its exit status (128 + n if signal n ended it) and its output."""

    status: int
    output: str


def run(argv: Sequence[str], *, descriptors: Sequence[int] = (), accept: Sequence[int] = (0,)) -> Finished:
    """Run argv to its end, and collect standard output and error together.

    descriptors: file descriptors that the process gets under the same numbers. accept: exit statuses that are not a
    failure. Raises Refusal (69) for any other status, or if the program cannot be run.
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


def filtered(argv: Sequence[str], content: bytes, environ: Mapping[str, str], at_most: int) -> bytes | None:
    """Run argv with content on its standard input, and return its standard output.

    Returns None if its exit status is not 0, or if it writes more than at_most bytes. Raises Refusal (69) if it cannot
    be run.
    """
    given, output = os.memfd_create("input"), os.memfd_create("output")
    try:
        view = memoryview(content)
        while view:
            view = view[os.write(given, view) :]
        os.lseek(given, 0, os.SEEK_SET)
        actions: list[_Action] = [
            (os.POSIX_SPAWN_DUP2, given, 0),
            (os.POSIX_SPAWN_DUP2, output, 1),
            (os.POSIX_SPAWN_OPEN, 2, "/dev/null", os.O_WRONLY, 0),
        ]
        status = wait(_spawn(list(argv), environ, actions))
        size = os.fstat(output).st_size
        return os.pread(output, size, 0) if status == 0 and size <= at_most else None
    finally:
        os.close(given)
        os.close(output)


def start(argv: Sequence[str], environ: Mapping[str, str], *, own_group: bool, descriptors: Sequence[int] = ()) -> int:
    """Start argv on this process's standard streams, and return its pid. Raises Refusal (69) if it cannot be run.

    own_group: start it in a process group of its own, so that a Ctrl-C meant for the session does not reach it.
    descriptors: as of `run`.
    """
    actions: list[_Action] = [(os.POSIX_SPAWN_DUP2, number, number) for number in descriptors]
    return _spawn(list(argv), {**environ, **PLAIN_SYSTEMD}, actions, own_group=own_group)


def start_apart(
    argv: Sequence[str], environ: Mapping[str, str], descriptors: Mapping[int, int], *, blocked: Sequence[int]
) -> int:
    """Start argv in a session of its own (setsid(2)) without streams, and return its pid. Raises Refusal (69).

    descriptors: what it has open, number there → number here. blocked: signals that it never receives.
    """
    # None of the numbers there may be in the way of one that is still to be moved.
    held = [fcntl.fcntl(own, fcntl.F_DUPFD_CLOEXEC, max(descriptors) + 1) for own in descriptors.values()]
    try:
        null = (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDWR, 0)
        actions: list[_Action] = [null, (os.POSIX_SPAWN_DUP2, 0, 1), (os.POSIX_SPAWN_DUP2, 0, 2)]
        actions += [(os.POSIX_SPAWN_DUP2, own, there) for own, there in zip(held, descriptors, strict=True)]
        try:
            return os.posix_spawn(
                argv[0],
                list(argv),
                {**environ, **PLAIN_SYSTEMD},
                file_actions=actions,
                setsid=True,
                setsigmask=blocked,
                setsigdef=_PYTHON_IGNORES,
            )
        except OSError as error:
            raise refusals.tool_failed(list(argv), error.strerror or str(error)) from error
    finally:
        for descriptor in held:
            os.close(descriptor)


def signalled_when_parent_dies(number: int) -> None:
    """From now on, have the kernel send this process the signal when its parent dies (PR_SET_PDEATHSIG, prctl(2)).

    It stays so after execve(2), but not once this process acts as another user.
    """
    libc.prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0)


def wait(pid: int) -> int:
    """Wait for a child, and return its exit status: 128 + n if signal n ended it."""
    _, status = os.waitpid(pid, 0)
    code = os.waitstatus_to_exitcode(status)
    return 128 - code if code < 0 else code


def has_ended(process: int, seconds: float = 0) -> bool:
    """Whether the process has ended (pidfd_open(2)), or does so within that time."""
    events = select.poll()
    events.register(process, select.POLLIN)
    return bool(events.poll(seconds * 1000))


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
