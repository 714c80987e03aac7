"""The kernel's mount API by descriptor: open_tree(2), mount_setattr(2), move_mount(2), fsopen(2).

Mounting takes open descriptors for source and target, so no path is resolved that somebody else could change meanwhile.
mount(8) cannot do that for the target: it takes a path, and move_mount(2) does not follow a magic link in /proc. glibc
2.36 and later have the functions; Python has no bindings for them.

Runs as root.
"""

from __future__ import annotations

import errno
import os

from pi_agent.python.c_library import Structure, byref, c_longdouble, c_uint64, checked, get_errno, libc, sizeof
from pi_agent.python.standard import signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Final

_AT_EMPTY_PATH: Final = 0x1000
_AT_RECURSIVE: Final = 0x8000
_OPEN_TREE_CLONE: Final = 1
_MOVE_MOUNT_F_EMPTY_PATH: Final = 0x04
_MOVE_MOUNT_T_EMPTY_PATH: Final = 0x40
_CLONE_NEWUSER: Final = 0x10000000
_CLONE_VM: Final = 0x100
_CLONE_VFORK: Final = 0x4000
_FSOPEN_CLOEXEC: Final = 1
_FSCONFIG_SET_STRING: Final = 1
_FSCONFIG_CMD_CREATE: Final = 6
_FSMOUNT_CLOEXEC: Final = 1
_MNT_DETACH: Final = 2
_UMOUNT_NOFOLLOW: Final = 8
_MS_PRIVATE: Final = 1 << 18
RDONLY: Final = 0x01
NOSUID: Final = 0x02
NODEV: Final = 0x04
NOEXEC: Final = 0x08
_IDMAP: Final = 0x00100000
_stack: Final = (c_longdouble * 1024)()  # the type with the alignment of a stack; it grows down


class _Attributes(Structure):
    """struct mount_attr of mount_setattr(2)."""

    _fields_ = (
        ("set", c_uint64),
        ("clear", c_uint64),
        ("propagation", c_uint64),
        ("user_namespace", c_uint64),
    )


def clone(descriptor: int, *, recursive: bool = False) -> int:
    """A detached copy of the mount at the open object, from there down. Closing it unmounts it. Raises OSError.

    recursive: with the mounts below.
    """
    flags = _AT_EMPTY_PATH | _OPEN_TREE_CLONE | os.O_CLOEXEC | (_AT_RECURSIVE if recursive else 0)
    return checked(libc.open_tree(descriptor, b"", flags))


def set_attributes(tree: int, attributes: int, user_namespace: int | None = None, *, recursive: bool = False) -> None:
    """Set attributes on a mount. With user_namespace, also map the owners of a detached mount by that namespace's maps.

    recursive: on the mounts below as well. The mount also leaves the peer group of the mount it was cloned from;
    otherwise mounts on it would also appear on the host (mount_namespaces(7), shared subtrees). Raises OSError; EINVAL
    if the file system cannot be idmapped.
    """
    wanted = _Attributes(set=attributes, propagation=_MS_PRIVATE)
    if user_namespace is not None:
        wanted.set |= _IDMAP
        wanted.user_namespace = user_namespace
    flags = _AT_EMPTY_PATH | (_AT_RECURSIVE if recursive else 0)
    checked(libc.mount_setattr(tree, b"", flags, byref(wanted), sizeof(wanted)))


def new(kind: str, options: Mapping[str, str], attributes: int) -> int:
    """A detached mount of a new file system of that kind, with options as mount(8) takes them. Raises OSError."""
    context = checked(libc.fsopen(kind.encode(), _FSOPEN_CLOEXEC))
    try:
        for name, value in options.items():
            checked(libc.fsconfig(context, _FSCONFIG_SET_STRING, name.encode(), value.encode(), 0))
        checked(libc.fsconfig(context, _FSCONFIG_CMD_CREATE, None, None, 0))
        return checked(libc.fsmount(context, _FSMOUNT_CLOEXEC, attributes))
    finally:
        os.close(context)


def mount_of(descriptor: int) -> int:
    """The id of the mount that an open object was reached through (proc_pid_fdinfo(5)). Raises OSError."""
    with open(f"/proc/self/fdinfo/{descriptor}", encoding="utf-8") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("mnt_id:"))


def detach(path: str) -> None:
    """Unmount path and everything below it, even while in use. Does nothing if path is not a mount point.

    path must be in a directory that only root can change (umount2(2), MNT_DETACH). Raises OSError.
    """
    if libc.umount2(os.fsencode(path), _MNT_DETACH | _UMOUNT_NOFOLLOW) != 0:
        number = get_errno()
        if number not in (errno.EINVAL, errno.ENOENT):
            raise OSError(number, os.strerror(number), path)


def attach(tree: int, target: int) -> None:
    """Mount a detached mount over the open directory or file target. Raises OSError."""
    checked(libc.move_mount(tree, b"", target, b"", _MOVE_MOUNT_F_EMPTY_PATH | _MOVE_MOUNT_T_EMPTY_PATH))


def user_namespace(uid_map: str, gid_map: str) -> int:
    """Create a user namespace with these maps and without a process (user_namespaces(7), uid_map).

    Returns its descriptor. Raises OSError.
    """
    child = _ended_in_namespace()
    try:
        for name, content in (("uid_map", uid_map), ("gid_map", gid_map)):
            with open(f"/proc/{child}/{name}", "w", encoding="utf-8") as file:
                file.write(content)
        return os.open(f"/proc/{child}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        os.waitpid(child, 0)


def _ended_in_namespace() -> int:
    """Start a process in a user namespace of its own that ends at once, and return its ID. Raises OSError.

    Until it is waited for, /proc keeps its namespace. It shares our memory while we wait for its end, as after
    vfork(2), since copying that is what a fork costs. With every signal blocked, no handler of ours runs in it.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        flags = _CLONE_NEWUSER | _CLONE_VM | _CLONE_VFORK | signal.SIGCHLD
        return checked(libc.clone(libc._exit, byref(_stack, sizeof(_stack)), flags, None))
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
