"""Sockets in a project on which programs of the host listen: what runs inside can connect to them.

No mount prevents that. connect(2) asks for write permission on the socket's file, and a read-only mount withholds it
from files, directories and links alone (fs/namei.c, sb_permission). Only what is hidden is out of reach. So the user is
told. Reads the kernel's table, as root, and changes nothing.
"""

from __future__ import annotations

import os
import stat

from pi_agent.linux import files, paths
from pi_agent.linux.identities import acting_as
from pi_agent.messages import notices
from pi_agent.sandbox.project_search import ProjectView

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Final

# proc_pid_net(5). A socket that was bound in another network namespace, or by a relative path, does not show there.
_TABLE: Final = "/proc/net/unix"
_TABLE_AT_MOST: Final = 1024**2  # some 17,000 sockets, which take 9 ms
_ACCEPTS: Final = 0x10000  # __SO_ACCEPTCON in the column of flags
_DATAGRAM: Final = 2


def told(ground: ProjectView, hidden: Iterable[str]) -> list[str]:
    """The notices about listening sockets below the project's root.

    hidden: paths relative to the root, of which nothing is told.
    """
    try:
        descriptor = os.open(_TABLE, os.O_RDONLY | os.O_CLOEXEC)
        try:
            table = files.read(descriptor, _TABLE_AT_MOST)
        finally:
            os.close(descriptor)
    except (OSError, ValueError):
        return [notices.sockets_not_looked_for(ground.root)]
    wanted = os.fsencode(ground.root.rstrip("/") + "/")
    if b" " + wanted not in table:
        return []
    covered = tuple(hidden)
    with acting_as(ground.viewer):
        found = sorted(
            path
            for path in set(_listening(table, wanted))
            if not any(paths.contains(each, path) for each in covered) and _is_socket(ground, path)
        )
    return [notices.sockets_reachable([f"{ground.root.rstrip('/')}/{path}" for path in found])] if found else []


def _listening(table: bytes, wanted: bytes) -> Iterator[str]:
    """The paths, relative to what is wanted, of sockets that accept connections or datagrams."""
    for line in table.split(b"\n"):
        fields = line.split(b" ", 7)
        if len(fields) < 7 or b" " + wanted not in line:
            continue
        try:
            flags, kind = int(fields[3], 16), int(fields[4], 16)
        except ValueError:  # part of a name with a newline
            continue
        if flags & _ACCEPTS or kind == _DATAGRAM:
            yield os.fsdecode(line[line.index(b" " + wanted) + 1 + len(wanted) :])


def _is_socket(ground: ProjectView, path: str) -> bool:
    """Whether a socket is at the path still. Must run as the viewer."""
    try:
        looked = paths.walk_inside(ground.descriptor, ground.root, path)
    except (OSError, ValueError):
        return False
    try:
        return stat.S_ISSOCK(os.fstat(looked).st_mode)
    finally:
        os.close(looked)
