"""Controls units with systemctl(1): starts them; ends, signals and resets a session's. The unit may be missing."""

from __future__ import annotations

import time

from pi_agent.linux import processes
from pi_agent.policy.policy_file import Tools
from pi_agent.python.standard import suppress
from pi_agent.session import control_group

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

GRACE: Final = 4  # seconds between the TERM that asks Pi to end and the KILL that ends everything
_POLL: Final = 0.1


def start(tools: Tools, unit: str) -> None:
    """Start the unit, and wait until it has started. Whether it did is for the caller to see."""
    processes.run([tools.systemctl, "start", unit], accept=range(256))


def stop(tools: Tools, unit: str) -> None:
    """End the unit: TERM to Pi, which may then save, and after `GRACE` seconds KILL to everything. It may be missing.

    `systemctl stop` alone is not enough: version 257 sometimes mistakes the first process of a PID namespace for
    somebody else's («Supervising process … which is not our child»), and then kills at once.
    """
    with suppress(OSError):  # it is gone, or there are no control groups
        if control_group.is_frozen(unit):  # what is bare must not be changed any more (renewal.py)
            control_group.kill(unit)
        control_group.freeze(unit, frozen=False)
    if kill(tools, unit, "--kill-whom=main", "--signal=TERM"):
        deadline = time.monotonic() + GRACE
        while _is_active(tools, unit):
            if time.monotonic() > deadline:
                kill(tools, unit, "--signal=KILL")
                break
            time.sleep(_POLL)
    processes.run([tools.systemctl, "stop", unit], accept=range(256))


def kill(tools: Tools, unit: str, *options: str) -> bool:
    """Run systemctl(1) kill. Returns whether there was something to signal."""
    return processes.run([tools.systemctl, "kill", *options, unit], accept=range(256)).status == 0


def reset_failed(tools: Tools, unit: str) -> None:
    """Make systemd forget how the unit ended, so that it is not listed any more."""
    processes.run([tools.systemctl, "reset-failed", unit], accept=range(256))


def _is_active(tools: Tools, unit: str) -> bool:
    return processes.run([tools.systemctl, "is-active", "--quiet", unit], accept=range(256)).status == 0
