"""Mount points for what a session sees of the host, made in the session's own mount namespace.

Runs as root, in that namespace, before anything of the agent runs there. The root of the session is shared with other
sessions (prepared_root.py). Only the first name of a path that is missing there is made in it, for good. A directory in
it that is empty is covered with a file system of the session's own, in which the rest of the path is made, so other
sessions learn no more than that first name. No link is followed on the way: beneath another mount, the path may lead
through a project.
"""

from __future__ import annotations

import errno
import os
import stat

from pi_agent.linux import mount_api
from pi_agent.linux.descriptors import Descriptors
from pi_agent.python.standard import suppress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

_LOOK: Final = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_OPTIONS: Final = {"mode": "0755", "size": "64k"}
_ATTRIBUTES: Final = mount_api.NOSUID | mount_api.NODEV | mount_api.NOEXEC


class MountPoints:
    """The mount points of one session. A context manager: what was made is read-only in the end."""

    def __init__(self, prepared: int) -> None:
        """prepared: the prepared root as the host sees it, open."""
        self._prepared = prepared
        self._shared = os.fstat(prepared).st_dev
        self._run = os.stat("/run").st_dev  # systemd mounts one for each unit (systemd.exec(5), MountAPIVFS=)
        self._own: list[int] = []  # the roots of file systems of ours
        self._held = Descriptors()

    def __enter__(self) -> MountPoints:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        try:
            if kind is None:
                for tree in self._own:
                    mount_api.set_attributes(tree, mount_api.RDONLY)
        finally:
            self._held.close()

    def at(self, path: str, *, directory: bool) -> int:
        """Open (O_PATH) the mount point at the absolute path, which is made if it is missing.

        directory: whether it must be one; otherwise a file. The descriptor is closed with the others. Raises OSError:
        ELOOP for a link.
        """
        here = self._held.hold(os.open("/", _LOOK | os.O_DIRECTORY))
        parts = [part for part in path.split("/") if part]
        for number, name in enumerate(parts, 1):
            is_last = number == len(parts)
            try:
                found = self._held.hold(os.open(name, _LOOK, dir_fd=here))
            except FileNotFoundError:
                here = self._with_room(here)
                found = self._made(here, "/".join(parts[:number]), directory=directory or not is_last)
            if stat.S_ISLNK(os.fstat(found).st_mode):
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
            here = found
        return here

    def _is_shared(self, directory: int) -> bool:
        return os.fstat(directory).st_dev == self._shared

    def _with_room(self, here: int) -> int:
        """A directory in which root may make names: here, or a file system of ours over it if it is empty for good."""
        device = os.fstat(here).st_dev
        if device in (self._run, *(os.fstat(tree).st_dev for tree in self._own)):
            return here
        if not os.fstatvfs(here).f_flag & os.ST_RDONLY:  # it is somebody else's
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        if _is_empty(here):
            return self._covered(here)
        if self._is_shared(here):
            return here
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    def _made(self, here: int, path: str, *, directory: bool) -> int:
        """Make the last component of path in the open directory, and open it."""
        name = os.path.basename(path)
        # In the namespace, the shared root is read-only.
        base, below = (self._prepared, path) if self._is_shared(here) else (here, name)
        with suppress(FileExistsError):  # another session has just made it
            if directory:
                os.mkdir(below, 0o755, dir_fd=base)
            else:
                os.close(os.open(below, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o444, dir_fd=base))
        return self._held.hold(os.open(name, _LOOK, dir_fd=here))

    def _covered(self, place: int) -> int:
        """Mount an empty file system of ours over the open directory, and return its root."""
        tree = self._held.hold(mount_api.new("tmpfs", _OPTIONS, _ATTRIBUTES))
        mount_api.attach(tree, place)
        self._own.append(tree)
        return tree


def _is_empty(directory: int) -> bool:
    listed = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=directory)
    try:
        return not os.listdir(listed)
    finally:
        os.close(listed)
