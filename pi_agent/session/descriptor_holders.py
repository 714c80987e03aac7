"""Whether a session keeps a way to what has just been covered, which leads past the cover (proc_pid_fd(5)).

Runs as root, while the session is frozen. Whatever is mounted over the name of a file, a descriptor of it goes on
working; and by /proc, even one that can only read is opened again to write. So what counts is the mount that it was
opened through: those that can be written to lead past a cover.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat

from pi_agent.linux import paths
from pi_agent.python.records import record
from pi_agent.python.standard import signal, suppress
from pi_agent.session import control_group

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Final

_LINKS_LOOKED_AT: Final = 5_000
_SHARED: Final = 3  # where proc_pid_maps(5) says so, in `rwxs`


@record
class Held:
    """What the processes of a session have. sent: whether descriptors wait in sockets: nobody can say of what.

    places: device, inode, path, and where proc(5) shows it. threads: their ids.
    """

    places: tuple[tuple[int, int, str, str], ...]
    sent: bool
    threads: tuple[int, ...]


def held(unit: str) -> Held:
    """What the processes of the unit have open, and where they are. Raises OSError if the unit is gone."""
    threads = control_group.threads(unit)
    sent = any(_has_sent_descriptors(thread) for thread in threads)
    return Held(tuple(_seen(_places(threads))), sent, tuple(threads))


def can_change(session: Held, wanted: int, *, linked: bool) -> bool:
    """Whether the session has a way to what is open as `wanted`, or to what lies below, and could change it.

    A descriptor, also one on its way over a socket; a working directory; a shared mapping; with `linked`, another name
    of a file.
    """
    status = os.fstat(wanted)
    directory = stat.S_ISDIR(status.st_mode)
    if session.sent or (linked and (_has_linked_files(wanted) if directory else _is_linked(status))):
        return True
    top = paths.real_path(wanted) if directory else None
    for device, inode, path, place in session.places:
        if (device, inode) == (status.st_dev, status.st_ino) if top is None else paths.contains(top, path):
            with suppress(OSError):
                if not os.statvfs(place).f_flag & os.ST_RDONLY:
                    return True
    return (directory or not _is_leased(wanted)) and any(_maps(each, status.st_ino, top) for each in session.threads)


def _places(threads: Iterable[int]) -> Iterator[str]:
    """Where proc(5) shows what the threads have open, and where they are. A thread may have descriptors of its own."""
    for thread in threads:
        yield from (f"/proc/{thread}/{name}" for name in ("cwd", "exe", "root"))
        yield from (f"/proc/{thread}/fd/{name}" for name in _descriptors(thread))


def _seen(places: Iterable[str]) -> Iterator[tuple[int, int, str, str]]:
    for place in places:
        with suppress(OSError):
            status = os.stat(place)
            if stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode) or stat.S_ISLNK(status.st_mode):
                yield status.st_dev, status.st_ino, os.readlink(place), place


def _descriptors(thread: int) -> list[str]:
    with suppress(OSError):  # it has ended
        return os.listdir(f"/proc/{thread}/fd")
    return []


def _has_sent_descriptors(thread: int) -> bool:
    """Whether descriptors wait in its sockets to be received (unix(7)): nobody can say of what."""
    for name in _descriptors(thread):
        with suppress(OSError):
            if os.readlink(f"/proc/{thread}/fd/{name}").startswith("socket:"):
                with open(f"/proc/{thread}/fdinfo/{name}", encoding="utf-8") as file:
                    if any(line.startswith("scm_fds:") and line.split()[1] != "0" for line in file):
                        return True
    return False


def _maps(thread: int, sought: int, top: str | None) -> bool:
    """Whether it has a shared mapping of the file with this inode; with a directory's path, of a file below it."""
    with suppress(OSError), open(f"/proc/{thread}/maps", encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            _, may, _, _, inode, *path = line.rstrip("\n").split(maxsplit=5)
            if may[_SHARED] == "s" and path:
                # The device is not that of stat(2) everywhere: another file of that number is suspicious enough.
                if int(inode) == sought if top is None else paths.contains(top, path[0]):
                    return True
    return False


def _is_linked(status: os.stat_result) -> bool:
    return stat.S_ISREG(status.st_mode) and status.st_nlink > 1


def _has_linked_files(directory: int) -> bool:
    """Whether a file in the directory, or below, has another name: as far as one can look in a moment."""
    left = _LINKS_LOOKED_AT
    opened = paths.reopen(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for _, _, files, here in os.fwalk(".", dir_fd=opened):
            for name in files[:left]:
                with suppress(OSError):
                    if _is_linked(os.stat(name, dir_fd=here, follow_symlinks=False)):
                        return True
            left -= len(files)
            if left <= 0:
                break
        return False
    finally:
        os.close(opened)


def _is_leased(wanted: int) -> bool:
    """Whether nobody has the file open to write: only then does the kernel lease it to read (fcntl(2), F_SETLEASE)."""
    try:
        file = paths.reopen(wanted, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        # Who opens it meanwhile has us told, and SIGIO would end us.
        fcntl.fcntl(file, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_UNLCK)
        return True
    except OSError as error:
        if error.errno not in (errno.EAGAIN, errno.EINVAL, errno.EACCES, errno.EPERM):
            raise
        return False
    finally:
        os.close(file)
