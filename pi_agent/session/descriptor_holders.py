"""Whether processes of a session have a file open that they must not change (proc_pid_fd(5)).

Runs as root, while the session is frozen. A descriptor goes on working, whatever is mounted over the file's name later.
"""

from __future__ import annotations

import fcntl
import os
import stat

from pi_agent.linux import paths
from pi_agent.python.standard import suppress
from pi_agent.session import control_group

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Final

_WRITABLE: Final = (os.O_WRONLY, os.O_RDWR)


def holds(unit: str, wanted: int) -> bool:
    """Whether a process of the unit can still change what is open as `wanted`.

    A file that is open to write; of a directory, what lies below as well, and directories in which names could be made.
    What is on its way over a socket is open in no process: so a file that somebody has open to write, but nobody on
    this machine, is the session's too. Raises OSError.
    """
    if stat.S_ISDIR(os.fstat(wanted).st_mode):
        top = paths.real_path(wanted)
        return any(paths.contains(top, place) for place in _changeable_by(control_group.processes(unit)))
    if _has_open(control_group.processes(unit), wanted):
        return True
    everybody = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    return not _is_leased(wanted) and not _has_open(everybody, wanted)


def _has_open(pids: Iterable[int], wanted: int) -> bool:
    """Whether one of the processes has the file open to write."""
    status = os.fstat(wanted)
    for pid, name in _descriptors_of(pids):
        with suppress(OSError):
            found = os.stat(f"/proc/{pid}/fd/{name}")
            if (found.st_dev, found.st_ino) == (status.st_dev, status.st_ino) and _is_writable(pid, name):
                return True
    return False


def _changeable_by(pids: Iterable[int]) -> Iterator[str]:
    """The paths of the directories that the processes are in or have open, and of the files open to write."""
    pids = [*pids]
    for pid in pids:
        with suppress(OSError):
            yield os.readlink(f"/proc/{pid}/cwd")
    for pid, name in _descriptors_of(pids):
        with suppress(OSError):
            place = f"/proc/{pid}/fd/{name}"
            if stat.S_ISDIR(os.stat(place).st_mode) or _is_writable(pid, name):
                yield os.readlink(place)


def _descriptors_of(pids: Iterable[int]) -> Iterator[tuple[int, str]]:
    for pid in pids:
        with suppress(OSError):  # it has ended
            for name in os.listdir(f"/proc/{pid}/fd"):
                yield pid, name


def _is_writable(pid: int, name: str) -> bool:
    with open(f"/proc/{pid}/fdinfo/{name}", encoding="utf-8") as file:
        flags = next(int(line.split()[1], 8) for line in file if line.startswith("flags:"))
    return flags & os.O_ACCMODE in _WRITABLE


def _is_leased(wanted: int) -> bool:
    """Whether nobody has the file open to write: only then does the kernel lease it to read (fcntl(2), F_SETLEASE).

    True for what cannot be leased, such as a directory.
    """
    try:
        file = paths.reopen(wanted, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return True
    try:
        fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_UNLCK)
        return True
    except BlockingIOError:
        return False
    except OSError:
        return True
    finally:
        os.close(file)
