"""Attempts to leave the project by a mount, or to enter other mounts. They belong to the group `filesystem`.

Root makes the mounts of the controls in a mount namespace of its own.
"""

from __future__ import annotations

from typing import Final

from escapes.case import Case, Control, grouped

_ROOT: Final = Control("root")

CASES: Final = grouped(
    "filesystem",
    Case(
        "bind",
        "places",
        "bind-mount a directory",
        "mount(b'/usr', b'/tmp', None, 4096)",
        ("EPERM",),
        _ROOT,
    ),
    Case("tmpfs", "places", "mount a file system", "mount(b'none', b'/tmp', b'tmpfs')", ("EPERM",), _ROOT),
    Case("proc", "places", "mount another /proc", "mount(b'proc', b'/tmp', b'proc')", ("EPERM",), _ROOT),
    Case(
        "unmount",
        "places",
        "unmount what covers /home",
        "call('umount2', b'/home', 2)",
        ("EPERM",),
        Control("root", "mount(b'none', b'/home', b'tmpfs')\ncall('umount2', b'/home', 2)"),
    ),
    Case(
        "remount",
        "system",
        "remount /etc read-write",
        "mount(None, b'/etc', None, 4096 | 32)",
        ("EPERM",),
        Control("root", "mount(b'/etc', b'/etc', None, 4096)\nmount(None, b'/etc', None, 4096 | 32)"),
    ),
    Case(
        "mount-setattr",
        "system",
        "clear the read-only attribute of /etc (mount_setattr)",
        "call('mount_setattr', -100, b'/etc', 0, struct.pack('QQQQ', 0, 1, 0, 0), 32)",
        ("EPERM",),
        Control(
            "root",
            "mount(b'/etc', b'/etc', None, 4096)\n"
            "call('mount_setattr', -100, b'/etc', 0, struct.pack('QQQQ', 0, 1, 0, 0), 32)",
        ),
    ),
    Case(
        "open-tree",
        "places",
        "take a copy of a mount (open_tree)",
        "call('open_tree', -100, b'/home', 1)",
        ("EPERM",),
        _ROOT,
    ),
    Case("fsopen", "places", "make a file system (fsopen)", "call('fsopen', b'tmpfs', 0)", ("EPERM",), _ROOT),
    Case(
        "fspick",
        "places",
        "reconfigure a file system (fspick)",
        "call('fspick', -100, b'/tmp', 0)",
        ("EPERM",),
        Control("root", "mount(b'none', b'/tmp', b'tmpfs')\ncall('fspick', -100, b'/tmp', 0)"),
    ),
    Case(
        "move-mount",
        "places",
        "move a mount (move_mount)",
        "place = os.open('/tmp', os.O_PATH)\ncall('move_mount', place, b'', -100, b'/var/tmp', 4)",
        ("EPERM",),
        Control(
            "root",
            "mount(b'none', b'/tmp', b'tmpfs')\n"
            "place = os.open('/tmp', os.O_PATH)\ncall('move_mount', place, b'', -100, b'/var/tmp', 4)",
        ),
    ),
    Case("chroot", "places", "change the root directory", "os.chroot('/tmp')", ("EPERM",), _ROOT),
    Case(
        "pivot-root",
        "places",
        "change the root mount (pivot_root)",
        "call('pivot_root', b'.', b'.')",
        ("EPERM",),
        Control("root", gives=("works", "EINVAL", "EBUSY")),
    ),
    Case(
        "enter-mounts",
        "places",
        "enter the mounts of process 1 (setns)",
        "call('setns', os.open('/proc/1/ns/mnt', os.O_RDONLY), 0x20000)",
        # Process 1 is systemd's child. A stranger may not even be allowed to examine it.
        ("EPERM", "EACCES"),
        _ROOT,
    ),
    Case(
        "mount-program",
        "places",
        "mount(8)",
        "program('mount', '--bind', '/usr', '/tmp')",
        ("exit (1|32): .*(permission denied|must be superuser|not permitted)",),
        _ROOT,
    ),
)
