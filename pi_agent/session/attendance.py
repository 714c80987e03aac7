"""Waits for the end of a session, for as long as it takes, without a Python that waits.

Runs as root. A session that ends soon is waited for by this process. After that, the process becomes a small shell
(waiter.bash) that waits for the same: the report of launch.bash, the end of systemd-run, an event of what is
covered, or a signal. It then becomes
this program again (`resume`), with its process id, its descriptors, and what it must know in a file.
"""

from __future__ import annotations

import fcntl
import os
import sys
import time

from pi_agent.linux import processes, timing
from pi_agent.python.standard import signal
from pi_agent.session import control_group, unfinished
from pi_agent.session.renewal import Renewal
from pi_agent.session.report import Report
from pi_agent.session.signal_relay import Relay
from pi_agent.session.unfinished import Unfinished

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

_SOON: Final = 1.0  # seconds until a session is one that takes long
_TURN: Final = 0.002  # seconds
_PATIENCE: Final = 5.0  # seconds that systemd may take to notice the end
_SHELL: Final = f"{os.path.dirname(__file__)}/waiter.bash"
# The signals that the shell hands on, by its names of them.
PASSED_ON: Final = {"HUP": signal.SIGHUP, "INT": signal.SIGINT, "QUIT": signal.SIGQUIT, "TERM": signal.SIGTERM}


def until_end(running: Unfinished, report: Report, relay: Relay) -> None:
    """Wait until the session has ended, and systemd-run with it; or systemd-run alone.

    Meanwhile, its covers are kept. May become another program, and then does not return. Raises Refusal (69) if the
    session must not go on.
    """
    client, covered = running.client.process, running.covered
    renewal = None if covered is None else Renewal(running.session, running.known, covered)
    while not (report.over or processes.has_ended(client)):
        known = len(report.heard)
        if report.wait(client, _SOON, None if covered is None else covered.queue):
            if renewal is not None:
                renewal.look()
            if len(report.heard) != known:
                time.sleep(_TURN)  # whoever writes nonsense to the report must not keep us busy
        elif relay.ending is None and not timing.is_running() and (renewal is None or not renewal.missing):
            # After a signal, the time is short. And only this process can tell how long each step took.
            _become_shell(running, report, relay)
    processes.has_ended(client, _PATIENCE)


def _become_shell(running: Unfinished, report: Report, relay: Relay) -> None:
    """Become the waiting shell. Returns if there is no need any more."""
    unfinished.write(running)
    alive = running.client.alive
    watched = [alive] if running.covered is None else [alive, running.covered.queue]
    for descriptor in watched:
        # A signal when there is something to read: of systemd-run, that it has closed its end (fcntl(2), O_ASYNC).
        fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(descriptor, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(descriptor, fcntl.F_SETFL, fcntl.fcntl(descriptor, fcntl.F_GETFL) | os.O_ASYNC)
    with relay.resting():
        # From here on, a signal ends this process, and its guard cleans up.
        if relay.ending is not None or report.wait(running.client.process, 0):
            return
        os.set_blocking(report.pipe, True)
        for descriptor in running.descriptors():
            os.set_inheritable(descriptor, True)
        main = "from pi_agent.cli import resumption; resumption.main()"
        resume = [sys.executable, "-I", "-c", main, running.session.directory]
        queue = "" if running.covered is None else str(running.covered.queue)
        freezer = control_group.freezer(running.session.unit)
        known = [str(report.pipe), str(alive), queue, freezer]
        os.execv(running.tools.bash, [running.tools.bash, "-p", _SHELL, *known, *resume])
