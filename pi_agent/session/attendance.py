"""Waits for the end of a session, for as long as it takes, without a Python that waits.

Runs as root. A session that ends soon is waited for by this process. After that, the process becomes a small shell
(waiter.bash) that waits for the same: the report of launch.bash, the end of systemd-run, an event of what is covered,
or a signal. It then becomes this program again (resumption.py), with its process id, its descriptors, and what it must
know in a file.

The agent can write to the report. A session whose agent does is waited for by this process, and the report is read
rarely: else the agent could keep two programs busy with becoming each other.
"""

from __future__ import annotations

import fcntl
import os
import select
import sys

from pi_agent.linux import processes, timing
from pi_agent.python.standard import signal
from pi_agent.session import control_group, guard, unfinished
from pi_agent.session.renewal import Renewal
from pi_agent.session.report import Report
from pi_agent.session.signal_relay import Relay
from pi_agent.session.unfinished import Unfinished

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Final

_SOON: Final = 1.0  # seconds until a session is one that takes long
# Seconds until what was removed may not return soon. Only this process knows what to wait for: for the shell, all that
# happens beside it is an event.
_LATER: Final = 60.0
_TURN: Final = 0.002  # seconds between two readings of a report that says what launch.bash does not
_TURN_AT_MOST: Final = 0.5  # seconds
_PATIENCE: Final = 5.0  # seconds that systemd may take to notice the end
_SHELL: Final = f"{os.path.dirname(__file__)}/waiter.bash"
_RESUME: Final = "from pi_agent.cli import resumption; resumption.main()"
# The signals that the shell wakes for, by its names of them.
PASSED_ON: Final = {"HUP": signal.SIGHUP, "TERM": signal.SIGTERM}
# What this program reads of its environment. bash(1) reads more, even with -p: TMOUT and POSIXLY_CORRECT among it.
_KEPT: Final = ("LANG", "LC_ALL", "LC_CTYPE", "SUDO_GID", "SUDO_UID", "SUDO_USER")


def until_end(running: Unfinished, report: Report, relay: Relay) -> None:
    """Wait until the session has ended, and systemd-run with it; or systemd-run alone.

    Meanwhile, its covers are kept. May become another program, and then does not return. Raises Refusal (69) if the
    session must not go on.
    """
    client, covered = running.client.process, running.covered
    renewal = None if covered is None else Renewal(running.session, running.known, covered)
    running.above.watch()
    turn = _TURN
    while not (report.over or processes.has_ended(client)):
        # Only this process can tell how long each step took.
        stays = timing.is_running() or not report.is_quiet
        soon = _LATER if covered is not None and covered.awaited else _SOON
        queues = () if covered is None else covered.queues
        if not report.wait(client, None if stays else soon, queues):
            if relay.ending is None:  # else, what is left is short
                _become_shell(running, report, relay)
            continue
        if renewal is not None:
            renewal.look()
            running.above.watch()  # it has acted as another user
        if not (report.is_quiet or report.over):
            _wait_for(queues, turn)
            turn = min(2 * turn, _TURN_AT_MOST)
    processes.has_ended(client, _PATIENCE)


def _wait_for(queues: Sequence[int], seconds: float) -> None:
    """Wait for an event of what is covered, and for nothing else."""
    events = select.poll()
    for queue in queues:
        events.register(queue, select.POLLIN)
    events.poll(seconds * 1000)


def _become_shell(running: Unfinished, report: Report, relay: Relay) -> None:
    """Become the waiting shell. Returns if there is no need any more, or if it is not possible."""
    descriptors = tuple(running.descriptors())
    watched = [report.pipe, running.client.alive, *_queues(running)]
    try:
        unfinished.write(running)
        for descriptor in watched:
            # SIGURG when there is something to read, or the other end is closed (fcntl(2)). SIGIO would end who has no
            # handler yet.
            fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)
            fcntl.fcntl(descriptor, fcntl.F_SETOWN, os.getpid())
            fcntl.fcntl(descriptor, fcntl.F_SETFL, fcntl.fcntl(descriptor, fcntl.F_GETFL) | os.O_ASYNC)
        with relay.resting():
            # From here on, a signal ends this process, and its guard cleans up.
            if relay.ending is not None or report.wait(running.client.process, 0):
                return
            for descriptor in descriptors:
                os.set_inheritable(descriptor, True)
            os.execve(running.tools.bash, _command(running), environment(os.environ, running.known.policy))
    except OSError:  # the machine lacks something; this process goes on waiting
        close_to_others(running)


def _command(running: Unfinished) -> tuple[str, ...]:
    resume = (sys.executable, "-I", "-c", _RESUME, running.command, running.session.directory)
    queues = " ".join(map(str, _queues(running)))
    freezer = control_group.freezer(running.session.unit)
    told = (
        str(running.report),
        str(running.client.alive),
        queues,
        freezer,
        running.tools.systemctl,
        running.session.unit,
    )
    return (running.tools.bash, "-p", _SHELL, *told, *resume)


def _queues(running: Unfinished) -> Sequence[int]:
    return () if running.covered is None else running.covered.queues


def environment(environ: Mapping[str, str], policy: str) -> dict[str, str]:
    """The environment of the shell, and of this program after it. policy: its file."""
    kept = {name: environ[name] for name in _KEPT if name in environ}
    return {**kept, **guard.needs(policy)}


def close_to_others(running: Unfinished) -> None:
    """Have no other program inherit what must stay open."""
    for descriptor in running.descriptors():
        os.set_inheritable(descriptor, False)
