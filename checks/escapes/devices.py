"""Attempts on devices, and on programs with more rights than their caller: setuid, setgid, capabilities."""

from __future__ import annotations

from typing import Final

from escapes.case import Case, Control, grouped

_ROOT: Final = Control("root")
_AGENT: Final = Control("agent")
_ALICE: Final = Control("alice")
_FILE: Final = "file = os.open('mine', os.O_CREAT | os.O_WRONLY, 0o755)\n"
_NAMELESS: Final = "file = os.open('.', os.O_TMPFILE | os.O_WRONLY, MODE)\n"
# An access list of `u::rwx g::r-x o::r-x` (acl(5)). Setting it is not a chmod, but changes the mode.
_FILL: Final = (
    "os.write(file, read('/bin/sh'))\n"
    "entries = ((1, 7), (4, 5), (32, 5))\n"
    "words = b''.join(struct.pack('<HHI', tag, bits, 0xFFFFFFFF) for tag, bits in entries)\n"
    "os.setxattr(file, 'system.posix_acl_access', struct.pack('<I', 2) + words)\n"
    "found(os.fstat(file).st_mode & 0o2010 == 0o2010)\n"
)

_NODES: Final = tuple(
    Case(
        f"make-{name}",
        "devices",
        f"make {what} in {place}",
        f"os.mknod('{where}/checks-node', {mode:#o}, os.makedev({major}, {minor}))\nos.unlink('{where}/checks-node')",
        ("EPERM",),
        _ROOT,
    )
    for name, what, place, where, mode, major, minor in (
        ("disk", "a disk", "the project", ".", 0o60600, 7, 0),
        ("disk-in-tmp", "a disk", "/tmp", "/tmp", 0o60600, 7, 0),
        ("memory", "the memory of the machine", "/tmp", "/tmp", 0o20600, 1, 1),
        ("terminal", "a terminal", "the project", ".", 0o20600, 4, 1),
    )
)

# Each would be a setuid file of alice's on the host, through the mapped mount.
_SETUID: Final = tuple(
    Case(f"setuid-{name}", "setuid", f"make a {tries}", code, denied, _AGENT)
    for name, tries, code, denied in (
        ("chmod", "setuid file by chmod", _FILE + "os.chmod('mine', 0o4755)\nsetid('mine')", ("EPERM",)),
        ("setgid-chmod", "setgid file by chmod", _FILE + "os.chmod('mine', 0o2755)\nsetid('mine')", ("EPERM",)),
        ("fchmod", "setuid file by fchmod", _FILE + "os.fchmod(file, 0o4755)\nsetid('mine')", ("EPERM",)),
        (
            "fchmodat",
            "setuid file by fchmodat",
            _FILE + "os.chmod('mine', 0o4755, dir_fd=os.open('.', os.O_PATH))\nsetid('mine')",
            ("EPERM",),
        ),
        (
            "fchmodat2",
            "setuid file by fchmodat2",
            _FILE + "call('fchmodat2', -100, b'mine', 0o4755, 0)\nsetid('mine')",
            ("EPERM", "ENOSYS"),
        ),
        (
            "descriptor",
            "setuid file by its name in /proc",
            _FILE + "os.chmod(f'/proc/self/fd/{file}', 0o4755)\nsetid('mine')",
            ("EPERM",),
        ),
        ("open", "setuid file by open", "os.open('mine', os.O_CREAT | os.O_WRONLY, 0o4755)\nsetid('mine')", ("EPERM",)),
        (
            "openat",
            "setuid file by openat",
            "os.open('mine', os.O_CREAT | os.O_WRONLY, 0o6755, dir_fd=os.open('.', os.O_PATH))\nsetid('mine')",
            ("EPERM",),
        ),
        (
            "openat2",
            "setuid file by openat2",
            "how = struct.pack('QQQ', os.O_CREAT | os.O_WRONLY, 0o4755, 0)\n"
            "call('openat2', -100, b'mine', how, 24)\nsetid('mine')",
            # No filter can inspect its arguments, so systemd reports that it does not exist.
            ("ENOSYS", "EPERM"),
        ),
        ("creat", "setuid file by creat", "checked(LIBC.creat(b'mine', 0o4755))\nsetid('mine')", ("EPERM",)),
        ("mknod", "setuid file by mknod", "os.mknod('mine', 0o104755)\nsetid('mine')", ("EPERM",)),
        ("mkdir", "setgid directory by mkdir and chmod", "os.mkdir('d')\nos.chmod('d', 0o2755)", ("EPERM",)),
        (
            "io-uring",
            "setuid file where no filter looks (io_uring)",
            "call('io_uring_setup', 1, bytes(120))",
            ("EPERM", "ENOSYS"),
        ),
        (
            "install",
            "setuid file by install(1)",
            "program('install', '-m', '4755', '/bin/sh', 'mine')\nsetid('mine')",
            ("exit 1: .*not permitted",),
        ),
        (
            "tar",
            "setuid file by unpacking one",
            "program('tar', '--create', '--mode=u+s', '--file=t', '--directory=/etc', 'passwd')\n"
            "program('tar', '--extract', '--preserve-permissions', '--file=t')\nsetid('passwd')",
            ("exit 2: .*not permitted",),
        ),
    )
)

CASES: Final = grouped(
    "devices",
    *_NODES,
    Case(
        "all",
        "devices",
        "find a device that is not harmless",
        "harmless = {'full', 'null', 'ptmx', 'random', 'tty', 'urandom', 'zero'}\n"
        "nodes = [os.path.join(path, name) for path, _, names in os.walk('/dev') for name in names]\n"
        "kinds = {node: os.lstat(node).st_mode for node in nodes}\n"
        "found([node for node, mode in kinds.items() if (stat.S_ISBLK(mode) or stat.S_ISCHR(mode))"
        " and '/pts/' not in node and os.path.basename(node) not in harmless])",
        ("nothing",),
        _ROOT,
    ),
    *(
        Case(
            f"open-{name}",
            "devices",
            f"use /dev/{name}",
            f"os.close(os.open('/dev/{name}', os.O_RDWR | os.O_NONBLOCK | os.O_NOCTTY))",
            ("ENOENT",),
            Control(
                "root",
                # Not every machine has it, but every root may make it.
                f"os.mknod('checks-node', 0o20600, os.makedev({number}))\nos.unlink('checks-node')",
            ),
        )
        for name, number in {
            "mem": "1, 1",
            "kmsg": "1, 11",
            "tty1": "4, 1",
            "console": "5, 1",
            "fuse": "10, 229",
            "kvm": "10, 232",
            "uinput": "10, 223",
            "loop-control": "10, 237",
            "net/tun": "10, 200",
        }.items()
    ),
    Case(
        "planted",
        "devices",
        "use a device that stands in the project already",
        "os.close(os.open(there.node, os.O_RDWR))",
        ("EACCES",),
        _ALICE,
    ),
    *_SETUID,
    Case(
        "setuid-nameless",
        "setuid",
        "make a setuid file without a name, and link it (O_TMPFILE)",
        _NAMELESS.replace("MODE", "0o4755") + "link_open(file, b'mine')\nsetid('mine')",
        ("EPERM", "ENOTSUP"),
        _AGENT,
    ),
    Case(
        "setgid-nameless",
        "setuid",
        "fill a setgid file without a name, and let an access list make it executable",
        _NAMELESS.replace("MODE", "0o2745") + _FILL + "link_open(file, b'mine')\nsetid('mine')",
        ("EPERM", "ENOTSUP"),
        _AGENT,
    ),
    Case(
        "capabilities",
        "setuid",
        "give a file capabilities",
        _FILE + "os.setxattr('mine', 'security.capability', struct.pack('<IIIII', 0x02000001, 1 << 21, 0, 0, 0))",
        ("EPERM",),
        _ROOT,
    ),
    Case(
        "gain-setuid",
        "setuid",
        "gain by root's setuid program in the project",
        "found(program(there.become, '-u') == '0')",
        ("nothing",),
        _ALICE,
    ),
    Case(
        "gain-setgid",
        "setuid",
        "gain by root's setgid program in the project",
        "found(program(there.become, '-g') == '0')",
        ("nothing",),
        _ALICE,
    ),
    Case(
        "gain-system",
        "setuid",
        "gain by any setuid program of the system",
        "found(b'\\nNoNewPrivs:\\t0\\n' in read('/proc/self/status') or [line for line in open('/proc/self/mountinfo')"
        " if 'nosuid' not in line.split()[5].split(',')])",
        ("nothing",),
        _ALICE,
    ),
)
