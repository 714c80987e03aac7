"""Attempts to gain another identity, through the kernel or through a service that acts for its callers."""

from __future__ import annotations

from typing import Final

from escapes.case import Case, Control, grouped

_ROOT: Final = Control("root")
_ALICE: Final = Control("alice")
_NO_PRIVILEGES: Final = "exit 1: .*(no new privileges|must be owned by uid 0|effective uid is not 0)"

_IDENTITY: Final = tuple(
    Case(f"{name}", "privileges", tries, code, ("EPERM",), Control("root", control or code))
    for name, tries, code, control in (
        ("setuid", "become root (setuid)", "os.setuid(0)", ""),
        ("setuid-user", "become the host user (setuid)", "os.setuid(there.uid)", ""),
        ("setresuid", "become root (setresuid)", "os.setresuid(0, 0, 0)", ""),
        ("setgid", "join root's group (setgid)", "os.setgid(0)", ""),
        ("setgroups", "join further groups (setgroups)", "os.setgroups([0])", ""),
        (
            "capset",
            "take capabilities (capset)",
            "call('capset', struct.pack('Ii', 0x20080522, 0), struct.pack('IIIIII', 1, 1, 0, 0, 0, 0))",
            "",
        ),
        (
            "ambient",
            "raise an ambient capability (prctl)",
            "checked(LIBC.prctl(47, 2, 0, 0, 0))",
            "call('capset', struct.pack('Ii', 0x20080522, 0), struct.pack('IIIIII', 1, 1, 1, 0, 0, 0))\n"
            "checked(LIBC.prctl(47, 2, 0, 0, 0))",
        ),
    )
)

_PROGRAMS: Final = tuple(
    Case(name, "privileges", tries, f"program({words})", denied, control)
    for name, tries, words, denied, control in (
        ("sudo", "sudo", "'sudo', '-n', 'true'", (_NO_PRIVILEGES,), _ROOT),
        (
            "sudo-runner",
            "the runner through sudo",
            "'sudo', '-n', there.runner",
            (_NO_PRIVILEGES,),
            Control("alice", "program('sudo', '-n', there.runner, '--version')"),
        ),
        (
            "runner",
            "the runner itself",
            "there.runner, '--version'",
            ("exit 77: .+",),
            Control("alice", "program('sudo', '-n', there.runner, '--version')"),
        ),
        (
            "wrapper",
            "the wrapper",
            "there.wrapper, '--version'",
            ("exit 77: .+",),
            Control("alice", "program(there.wrapper, '--version')"),
        ),
        ("su", "su to root", "'su', '-c', 'true'", ("exit 1: .*(uthentication|must be run|annot)",), _ROOT),
        (
            "su-user",
            "su to the host user",
            "'su', '-c', 'true', 'alice'",
            ("exit 1: .*(uthentication|must be run|annot)",),
            _ROOT,
        ),
        (
            "systemctl",
            "systemctl stop",
            "'systemctl', 'stop', 'checks-absent.service'",
            ("exit 1: .*(connect to (bus|system)|not been booted)",),
            Control("root", "program('systemctl', 'kill', '--signal=URG', there.service)"),
        ),
        (
            "systemd-run",
            "systemd-run",
            "'systemd-run', '--quiet', 'true'",
            ("exit 1: .*(connect to (bus|system)|not been booted)",),
            _ROOT,
        ),
        (
            "systemd-run-user",
            "systemd-run --user",
            "'systemd-run', '--user', '--quiet', 'true'",
            ("exit 1: .*(connect to (user )?(bus|scope|system)|not been booted|XDG_RUNTIME_DIR)",),
            Control("root", "program('systemd-run', '--quiet', 'true')"),
        ),
        (
            "loginctl",
            "logind over D-Bus",
            "'loginctl', 'list-sessions'",
            ("exit 1: .*(connect to (bus|system)|not been booted)",),
            _ALICE,
        ),
        (
            "busctl",
            "any service over D-Bus",
            "'busctl', 'list'",
            ("exit 1: .*(connect to (bus|system)|not been booted)",),
            _ALICE,
        ),
        (
            "nsenter",
            "nsenter to process 1",
            "'nsenter', '--target', '1', '--mount', 'true'",
            ("exit 1: .*(not permitted|ermission denied)",),
            _ROOT,
        ),
    )
)

_SOCKETS: Final = tuple(
    Case(
        f"socket-{name}",
        "privileges",
        f"connect to {what}",
        f"connect(socket.AF_UNIX, {path!r}{kind})",
        ("ENOENT",),
        control,
    )
    for name, what, path, kind, control in (
        ("bus", "the system bus, and so to logind and polkit", "/run/dbus/system_bus_socket", "", _ALICE),
        ("systemd", "systemd itself", "/run/systemd/private", "", _ROOT),
        ("notify", "systemd's notify socket", "/run/systemd/notify", ", socket.SOCK_DGRAM", _ROOT),
        (
            "journal",
            "the journal, with fields of its own",
            "/run/systemd/journal/socket",
            ", socket.SOCK_DGRAM",
            _ALICE,
        ),
        ("syslog", "the log", "/dev/log", ", socket.SOCK_DGRAM", _ALICE),
    )
)

# Everything that the host offers its users, whether or not this suite knows about it.
_ANY_SOCKET: Final = """
known = ("/nix/var/nix/daemon-socket/", "/run/nscd/", "/run/systemd/resolve/")
def open_to(path):
    return any(accessible(lambda: connect(socket.AF_UNIX, path, kind))
               for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_SEQPACKET))
paths = {line.split()[7] for line in open("/proc/net/unix").read().splitlines()[1:] if len(line.split()) > 7}
found([path for path in paths if path.startswith("/") and not path.startswith(known) and open_to(path)])
"""

CASES: Final = grouped(
    "privilege",
    *_IDENTITY,
    *_PROGRAMS,
    *_SOCKETS,
    Case(
        "socket-any",
        "privileges",
        "connect to any socket of a service in /proc/net/unix",
        _ANY_SOCKET,
        ("nothing",),
        _ALICE,
    ),
    Case(
        "file-system-uid",
        "privileges",
        "act on files as root (setfsuid)",
        "call('setfsuid', 0)\nfound(call('setfsuid', 0) == 0)",
        # A denied call returns the unchanged uid, or an error if it is filtered.
        ("nothing", "EPERM"),
        # Root already acts on files as root.
        Control("root", "call('setfsuid', 1)\nfound(call('setfsuid', 1) == 1)"),
    ),
    Case(
        "capabilities",
        "privileges",
        "find a capability that it has",
        "lines = [line.split() for line in open('/proc/self/status') if line.startswith('Cap')]\n"
        "found([name for name, mask in lines if int(mask, 16)])",
        ("nothing",),
        _ROOT,
    ),
    Case(
        "unfiltered",
        "privileges",
        "find that it may gain privileges or is not filtered",
        "status = dict(line.split(None, 1) for line in open('/proc/self/status') if len(line.split()) == 2)\n"
        "found(status['NoNewPrivs:'] != '1\\n' or status['Seccomp:'] != '2\\n')",
        ("nothing",),
        Control("agent"),
    ),
    Case(
        "groups",
        "privileges",
        "find a group of the host user's that it is in",
        "found({*os.getgroups(), *os.getresgid()} & set(there.groups))",
        ("nothing",),
        _ALICE,
    ),
    Case(
        "cron",
        "privileges",
        "leave a job for cron",
        "leave('/etc/cron.d/checks')",
        ("EROFS", "EACCES"),
        Control("root", "create('/etc/cron.d/checks')"),
        absent="/etc/cron.d/checks",
    ),
    Case(
        "crontab",
        "privileges",
        "leave a table for cron",
        "leave('/var/spool/cron/crontabs/checks')",
        ("ENOENT",),
        Control("root", "create('/var/spool/cron/crontabs/checks')"),
        absent="/var/spool/cron/crontabs/checks",
    ),
    Case(
        "at",
        "privileges",
        "leave a job for at",
        "leave('/var/spool/at/checks')",
        ("ENOENT",),
        Control("root", "create('/var/spool/at/checks')"),
        absent="/var/spool/at/checks",
    ),
    Case(
        "user-unit",
        "privileges",
        "leave a unit for the host user's systemd",
        "create(there.home + '/.config/systemd/user/checks.service')",
        ("ENOENT",),
        _ALICE,
    ),
    Case(
        "login-script",
        "privileges",
        "leave a line for the host user's next login",
        "append(there.home + '/.profile')",
        ("ENOENT",),
        _ALICE,
    ),
    Case(
        "runtime-directory",
        "privileges",
        "find a socket of the host user's desktop",
        "found(os.listdir('/run/user'))",
        ("nothing",),
        _ROOT,
    ),
)
