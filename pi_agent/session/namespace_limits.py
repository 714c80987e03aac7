"""Limits on what a session takes of the kernel that would be charged to root.

systemd makes a session's user namespace as root. The kernel counts inotify instances, namespaces and the like in each
user namespace up to the first one, and there as the user who made the namespace below (kernel/ucount.c): so root pays
for every session, and one session could leave nothing to root and to all others. The namespace itself can have limits,
/proc/sys/user as its own processes see it (namespaces(7)). They are set before anything of the agent runs.

Runs as root. A process that joins a user namespace cannot come back, so a forked child does (setns(2)).
"""

from __future__ import annotations

import errno
import os
import resource

from pi_agent.linux import mount_api, processes
from pi_agent.linux.descriptors import Descriptors
from pi_agent.messages import start_refusals
from pi_agent.policy.policy_file import Policy
from pi_agent.python.c_library import checked, libc
from pi_agent.python.records import record
from pi_agent.python.standard import signal, suppress
from pi_agent.session.control_group import process_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Final

# asm-generic/resource.h; Python has no names for them.
_RLIMIT_SIGPENDING: Final = 11
_RLIMIT_MSGQUEUE: Final = 12
# A session gets this part of what the machine has.
SESSIONS: Final = 16
# So many sessions of one host user get their whole part.
_UNDIVIDED: Final = 8
# The parts of the machine's own limits that a session gets: sysctl of the machine → limit of the namespace, at most.
_SHARED: Final = {
    "fs/inotify/max_user_instances": ("max_inotify_instances", 512),
    "fs/inotify/max_user_watches": ("max_inotify_watches", 16384),
    "fs/fanotify/max_user_groups": ("max_fanotify_groups", 4),
    "fs/fanotify/max_user_marks": ("max_fanotify_marks", 4096),
}
# Only a session whose administrator loosens RestrictNamespaces= can make any. systemd makes some for each session.
_NAMESPACES: Final = 128
# What a process may have pending, queued and locked (getrlimit(2)), by systemd's name: far less than the kernel's
# default for a user. The kernel compares what root has in all with the limits that the namespace was made under. So the
# unit is started with the default, and only then limited: else one session would leave nothing to the next.
_RESOURCES: Final = {
    "LimitSIGPENDING": (_RLIMIT_SIGPENDING, 1024),
    "LimitMSGQUEUE": (_RLIMIT_MSGQUEUE, 32 * 1024),
    "LimitMEMLOCK": (resource.RLIMIT_MEMLOCK, 256 * 1024),
}
_KINDS: Final = ("cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts")
_CLONE_NEWUSER: Final = 0x10000000


@record
class Machine:
    """Where the kernel shows its limits."""

    sysctl: str = "/proc/sys"


MACHINE: Final = Machine()


def divided(whole: int, others: int) -> int:
    """What a session gets where the first ones get `whole`. others: how many sessions its host user has besides.

    The next eight get a quarter, then come a ninth, a sixteenth and so on. So all sessions of a host user together get
    less than 14 times `whole`, however many they are, and in whatever order they start and end.
    """
    return int(whole // (others // _UNDIVIDED + 1) ** 2)


def chosen(others: int, machine: Machine = MACHINE) -> dict[str, int]:
    """The limits of a session on this machine, by their names in /proc/sys/user. What this kernel lacks is left out.

    others: see `divided`.
    """
    found = {f"max_{kind}_namespaces": _NAMESPACES for kind in _KINDS}
    for shared, (name, most) in _SHARED.items():
        if (limit := machine_limit(shared, machine)) is not None:
            found[name] = min(most, limit // SESSIONS)
    return {name: divided(limit, others) for name, limit in found.items()}


def resources(policy: Policy) -> dict[int, int]:
    """The resource limits of a session, but for those that the administrator sets: RLIMIT_ number → limit."""
    set_otherwise = {each.partition("=")[0].removesuffix("Soft") for each in policy.sandbox.properties}
    return {number: limit for name, (number, limit) in _RESOURCES.items() if name not in set_otherwise}


def wanted() -> Mapping[str, int]:
    """The limits of the machine that are needed for a session to get its whole part: sysctl → least value."""
    return {shared: most * SESSIONS for shared, (_, most) in _SHARED.items() if "inotify" in shared}


def machine_limit(sysctl: str, machine: Machine = MACHINE) -> int | None:
    """A limit of the machine; None if this kernel does not have it."""
    try:
        with open(f"{machine.sysctl}/{sysctl}", encoding="utf-8") as file:
            return int(file.read())
    except FileNotFoundError:
        return None


class Limiter:
    """A child process that sets the limits of one session as soon as it is told to. A context manager.

    It is forked while systemd is busy with the session. If the runner dies, it ends by itself.
    """

    def __init__(self, unit: str, rlimits: Mapping[int, int], others: int) -> None:
        """rlimits: see `resources`. others: see `divided`."""
        self._child = 0
        self._error = errno.EIO
        self._tell = self._answer = -1
        try:
            self._fork(unit, rlimits, others)
        except OSError as error:  # `limit` tells it: the session waits, and is not let in
            self._error = error.errno or errno.EIO

    def _fork(self, unit: str, rlimits: Mapping[int, int], others: int) -> None:
        ends = Descriptors()
        try:
            wait, self._tell = os.pipe()
            ends.hold(wait)
            self._answer, answer = os.pipe()
            ends.hold(answer)
            # The runner's handlers of signals are not the child's.
            before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
            try:
                self._child = os.fork()
                if self._child == 0:
                    try:
                        os.close(self._tell)
                        os.write(answer, bytes([_child(unit, rlimits, others, wait)]))
                    finally:
                        os._exit(0)
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, before)
        finally:
            ends.close()

    def __enter__(self) -> Limiter:
        return self

    def __exit__(self, *_: object) -> None:
        for descriptor in (self._tell, self._answer):
            if descriptor >= 0:
                os.close(descriptor)
        if self._child:
            processes.wait(self._child)

    def begin(self) -> None:
        """Begin to set the limits in the user namespace of the unit's process. Raises OSError."""
        if self._child:
            with suppress(BrokenPipeError):  # it has ended: then there is no answer either
                os.write(self._tell, b".")

    def finish(self) -> None:
        """Wait until the limits are set. Raises Refusal (69)."""
        answer = os.read(self._answer, 1) if self._child else b""
        if answer != b"\0":
            raise start_refusals.session_not_limited(os.strerror(answer[0] if answer else self._error))


def _child(unit: str, rlimits: Mapping[int, int], others: int, wait: int) -> int:
    """Prepare, wait for a byte, set the limits, and return 0 or an error number."""
    try:
        limits = chosen(others)
        # A container may show /proc/sys read-only.
        proc = mount_api.new("proc", {}, 0)
        if os.read(wait, 1):
            number, process = process_of(unit)
            enter(process)
            write(limits, proc)
            for limit, whole in rlimits.items():
                value = divided(whole, others)
                resource.prlimit(number, limit, (value, value))
    except OSError as error:
        return min(error.errno or errno.EIO, 255)
    return 0


def enter(process: int) -> None:
    """Join the process's user namespace, which must not be our own. Raises OSError."""
    checked(libc.setns(process, _CLONE_NEWUSER))


def write(limits: Mapping[str, int], proc: int) -> None:
    """Set limits of this process's user namespace. proc: a descriptor of a proc file system. Raises OSError."""
    for name, limit in limits.items():
        file = os.open(f"sys/user/{name}", os.O_WRONLY | os.O_CLOEXEC, dir_fd=proc)
        try:
            os.write(file, str(limit).encode())
        finally:
            os.close(file)
