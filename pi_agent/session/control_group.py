"""The control group of a session's unit: its processes, and whether it has any (cgroups(7), systemd.slice(5))."""

from __future__ import annotations

import errno
import os
import select
import time

from pi_agent.python.records import record
from pi_agent.session.systemd_run import SLICE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final


@record
class Machine:
    """Where the kernel shows the control groups, and that of the first process."""

    control_groups: str = "/sys/fs/cgroup"
    first: str = "/proc/1/cgroup"


MACHINE: Final = Machine()


def path(unit: str, machine: Machine = MACHINE) -> str:
    """Where the unit's control group is while the unit runs. Raises OSError."""
    with open(machine.first, encoding="utf-8") as file:
        own = next((line[3:].strip() for line in file if line.startswith("0::")), "")
    # A slice lies below those that its name begins with (systemd.slice(5)).
    words = SLICE.removesuffix(".slice").split("-")
    slices = "/".join(f"{'-'.join(words[: number + 1])}.slice" for number in range(len(words)))
    return f"{machine.control_groups}{own.removesuffix('/init.scope').rstrip('/')}/{slices}/{unit}"


def is_gone(unit: str, machine: Machine = MACHINE) -> bool:
    """Whether the unit has no process any more. Raises OSError."""
    try:
        with open(f"{path(unit, machine)}/cgroup.events", encoding="utf-8") as file:
            return "populated 0" in file.read()
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENODEV):  # the latter while it is being removed
            return True
        raise


def freezer(unit: str, machine: Machine = MACHINE) -> str:
    """The file that stops all processes of the unit while it holds a 1. Raises OSError."""
    return f"{path(unit, machine)}/cgroup.freeze"


def freeze(unit: str, *, frozen: bool, machine: Machine = MACHINE) -> None:
    """Stop all processes of the unit, or let them go on. Raises OSError."""
    with open(freezer(unit, machine), "w", encoding="utf-8") as file:
        file.write("1" if frozen else "0")


def is_frozen(unit: str, machine: Machine = MACHINE) -> bool:
    """Whether somebody has told the unit's processes to stop. Raises OSError."""
    with open(freezer(unit, machine), encoding="utf-8") as file:
        return file.read().strip() == "1"


def await_frozen(unit: str, seconds: float, machine: Machine = MACHINE) -> None:
    """Wait until all of the unit's processes have stopped. Raises OSError; TimeoutError if one does not."""
    until = time.monotonic() + seconds
    with open(f"{path(unit, machine)}/cgroup.events", encoding="utf-8") as file:
        events = select.poll()
        events.register(file, select.POLLPRI)
        while "frozen 1" not in file.read():
            left = until - time.monotonic()
            if left <= 0:
                raise TimeoutError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT))
            events.poll(left * 1000)
            file.seek(0)


def kill(unit: str, machine: Machine = MACHINE) -> None:
    """Kill all processes of the unit at once, also frozen ones (cgroup.kill, Linux 5.14). Raises OSError."""
    with open(f"{path(unit, machine)}/cgroup.kill", "w", encoding="utf-8") as file:
        file.write("1")


def threads(unit: str, machine: Machine = MACHINE) -> list[int]:
    """The ids of the threads of the unit's processes. Raises OSError."""
    return _listed(f"{path(unit, machine)}/cgroup.threads")


def process_of(unit: str, machine: Machine = MACHINE) -> tuple[int, int]:
    """The first process in the unit's control group: its id, and a descriptor (pidfd_open(2)). Raises OSError."""
    listed = f"{path(unit, machine)}/cgroup.procs"
    process = _listed(listed)[0]
    descriptor = os.pidfd_open(process)
    if process not in _listed(listed):  # it has ended, and another one may have its number
        os.close(descriptor)
        raise OSError(errno.ESRCH, os.strerror(errno.ESRCH))
    return process, descriptor


def _listed(file: str) -> list[int]:
    with open(file, encoding="utf-8") as lines:
        listed = [int(line) for line in lines]
    if not listed:
        raise OSError(errno.ESRCH, os.strerror(errno.ESRCH))
    return listed
