"""Attempts to read secrets that were not given to this session."""

from __future__ import annotations

from typing import Final

from escapes.case import Case, Control, grouped

_ROOT: Final = Control("root")
_ABSENT: Final = ("ENOENT",)
_BOBS_MOUNTS: Final = (
    "found([line for place in {} for line in open(place) if '/users/bob' in line or '/home/bob' in line])"
)
_STAGED_FILES: Final = (
    "found([name for name in os.listdir('/proc/self/fd') if accessible(lambda: os.readlink(f'/proc/self/fd/{name}'))"
    " and 'pi-agent-' in os.readlink(f'/proc/self/fd/{name}')])"
)

CASES: Final = grouped(
    "secrets",
    *(
        Case(f"read-{name}", promise, tries, f"read({path})", denied, control)
        for name, promise, tries, path, denied, control in (
            ("shadow", "secrets", "read the passwords", "'/etc/shadow'", ("EACCES",), _ROOT),
            ("sudoers", "secrets", "read sudo's rules", "'/etc/sudoers'", ("EACCES",), _ROOT),
            (
                "environment-file",
                "secrets",
                "read the file that secrets of the environment come from",
                "'/etc/pi-agent-secrets/base.env'",
                ("EACCES",),
                _ROOT,
            ),
            (
                "session-request",
                "secrets",
                "read what another session runs, with its environment",
                "there.staging + '/request'",
                _ABSENT,
                _ROOT,
            ),
            ("credential", "secrets", "read another unit's credential", "there.credential", _ABSENT, _ROOT),
            (
                "credentials-encrypted",
                "secrets",
                "read the machine's credential key",
                "there.machine_key",
                _ABSENT,
                _ROOT,
            ),
            (
                "host-token",
                "secrets",
                "read the user's login on the host",
                "there.home + '/.pi/agent/auth.json'",
                _ABSENT,
                Control("alice"),
            ),
            ("state-of-another", "state", "read another user's agent's state", "there.bobs_state", _ABSENT, _ROOT),
            (
                "state-of-variant",
                "state",
                "read the state of another configuration",
                "there.base_state",
                _ABSENT,
                _ROOT,
            ),
            ("sync-memory", "state", "read what sync remembers", "there.memory", _ABSENT, _ROOT),
        )
    ),
    Case(
        "list-users",
        "state",
        "find another user's tree beside its own",
        "found(set(os.listdir(there.state_directory)) & {'users', 'sync'})",
        ("nothing",),
        _ROOT,
    ),
    Case(
        "sessions-mounts",
        "state",
        "find the mounts of another session",
        _BOBS_MOUNTS.format("['/proc/self/mountinfo', '/proc/1/mountinfo']"),
        ("nothing",),
        Control("root", _BOBS_MOUNTS.format("[f'/proc/{there.other}/mountinfo']")),
    ),
    Case(
        "staging",
        "state",
        "list the directories of sessions",
        "found(os.listdir('/run/pi-agent'))",
        _ABSENT,
        _ROOT,
    ),
    Case(
        "environment-of-all",
        "secrets",
        "find another session's secret in any environment",
        "found([pid for pid in processes() if pid != os.getpid()"
        " and b'checks-secret-of-bob' in read_of(pid, 'environ')])",
        ("nothing",),
        _ROOT,
    ),
    Case(
        "descriptors",
        "secrets",
        "find an open file that leads to the directory of a session",
        _STAGED_FILES,
        ("nothing",),
        Control("root", "kept = os.open(there.staging + '/request', os.O_RDONLY)\n" + _STAGED_FILES),
    ),
)
