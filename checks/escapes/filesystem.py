"""Attempts to leave the project by a path, a link or a handle, and attempts on files of the kernel."""

from __future__ import annotations

from typing import Final

from escapes.case import Case, Control, grouped

# A directory of root's, or a read-only mount. The place decides which of the two errors comes first.
CLOSED: Final = ("EROFS", "EACCES", "EPERM")
ABSENT: Final = ("ENOENT",)
_ROOT: Final = Control("root")
_ALICE: Final = Control("alice")

_WRITE: Final = tuple(
    Case(
        f"write-{name}",
        "system",
        f"create a file in {directory}",
        f"leave('{directory}/checks-escape')",
        CLOSED,
        Control("root", f"create('{directory}/checks-escape')"),
        absent=f"{directory}/checks-escape",
    )
    for name, directory in {
        "top": "/",
        "etc": "/etc",
        "usr": "/usr",
        "programs": "/usr/bin",
        "nix": "/nix",
        "home": "/home",
        "users-home": "/home/alice",
        "beside-the-project": "/home/alice/p",
        "run": "/run",
        "var": "/var",
        "var-lib": "/var/lib",
        "roots-home": "/root",
    }.items()
)

_READ: Final = tuple(
    Case(f"read-{name}", promise, f"read {tries}", f"os.chdir(there.project + '/links')\nread({path})", denied, control)
    for name, promise, tries, path, denied, control in (
        ("ssh-key", "homes", "the user's own SSH key", "there.key", ABSENT, _ALICE),
        ("git-settings", "homes", "the user's git settings", "there.home + '/.gitconfig'", ABSENT, _ALICE),
        ("pi-settings", "homes", "Pi's settings on the host", "there.home + '/.pi/agent/models.json'", ABSENT, _ALICE),
        ("bobs-key", "homes", "another host user's SSH key", "'/home/bob/.ssh/id_ed25519'", ABSENT, _ROOT),
        ("carols-key", "homes", "a stranger's SSH key", "'/home/carol/.ssh/id_ed25519'", ABSENT, _ROOT),
        ("roots-home", "homes", "a file in root's home", "'/root/.checks-marker'", (*ABSENT, "EACCES"), _ROOT),
        ("other-project", "homes", "a project beside the root", "there.home + '/p/other/file'", ABSENT, _ALICE),
        ("shared", "homes", "another allowed root", "'/srv/shared/file'", ABSENT, _ROOT),
        ("host-tmp", "places", "a file in the host's /tmp", "'/tmp/checks-of-the-host'", ABSENT, _ALICE),
        ("host-shm", "places", "the host's shared memory", "'/dev/shm/checks-of-the-host'", ABSENT, _ALICE),
        ("logs", "places", "the journal", "there.journal", ABSENT, _ROOT),
        ("checkout", "places", "a directory in /opt", "'/opt/pi-agent/module.nix'", ABSENT, _ALICE),
        ("proc-root", "places", "a key through /proc/self/root", "'/proc/self/root' + there.key", ABSENT, _ALICE),
        ("proc-1-root", "places", "a key through /proc/1/root", "'/proc/1/root' + there.key", ABSENT, _ROOT),
        ("dot-dot", "places", "a key by many ..", "'../' * 40 + there.key", ABSENT, _ALICE),
        ("dot-dot-beside", "places", "a sibling by ..", "'../../other/file'", ABSENT, _ALICE),
        ("symlink", "places", "through a link to a key", "there.project + '/links/key'", ABSENT, _ALICE),
        (
            "symlink-directory",
            "places",
            "through a link to a directory",
            "there.project + '/links/ssh/id_ed25519'",
            ABSENT,
            _ALICE,
        ),
        ("symlink-double", "places", "through a link to a link", "there.project + '/links/double'", ABSENT, _ALICE),
        ("symlink-proc", "places", "through a link by /proc/self/cwd", "there.project + '/links/cwd'", ABSENT, _ALICE),
        (
            "symlink-relative",
            "places",
            "through a link of many ..",
            "there.project + '/links/relative'",
            ABSENT,
            _ALICE,
        ),
    )
)

_PROC_WALK: Final = """
found([pid for pid in processes() for way in ("root", "cwd/../../../..")
       if accessible(lambda: read(f"/proc/{pid}/{way}{there.key}"))])
"""
_DESCRIPTORS: Final = """
def leads(number):
    os.fchdir(number)
    return os.path.exists(there.key.lstrip("/")) or os.path.exists("../../../.." + there.key)
numbers = [int(name) for name in os.listdir("/proc/self/fd")]
found([number for number in numbers if accessible(lambda: os.fchdir(number)) and leads(number)])
"""
_LEAKED: Final = "os.open('/', os.O_DIRECTORY)\n"
_HANDLE: Final = """
place = os.open(".", os.O_RDONLY | os.O_DIRECTORY)
file = call("open_by_handle_at", place, bytes.fromhex(there.handle), os.O_RDONLY)
found(os.read(file, 100))
"""
_OTHER_LINK: Final = "os.link(there.scratch, there.scratch + '-hard'); os.unlink(there.scratch + '-hard')"
_MADE: Final = "open('mine', 'w').close()\n"

# As the session sees it, and as it is outside.
_SHOWN: Final = "'/run/pi-agent-compile-cache/v1-x64-abc"
_REPLACED: Final = "os.rename({0}, {0} + '-moved'); os.rename({0} + '-moved', {0})"
_COMPILED: Final = (
    Case(
        "write-compile-cache",
        "system",
        "add code to the compile cache that sessions share",
        f"leave({_SHOWN}/checks-escape')",
        CLOSED,
        Control("root", "create(there.compiled + '-escape')"),
        unchanged="compiled",
    ),
    Case(
        "append-compile-cache",
        "system",
        "change code in the compile cache that sessions share",
        f"append({_SHOWN}/0123abcd')",
        CLOSED,
        Control("root", "append(there.compiled)"),
        unchanged="compiled",
    ),
    Case(
        "rename-compile-cache",
        "system",
        "replace code in the compile cache that sessions share",
        _REPLACED.format(f"{_SHOWN}/0123abcd'"),
        CLOSED,
        Control("root", _REPLACED.format("there.compiled")),
        unchanged="compiled",
    ),
)

_LINK: Final = (
    Case(
        "hard-link-in",
        "places",
        "link a file of /etc into the project",
        "os.link('/etc/passwd', 'hard')",
        ("EXDEV", "EPERM", "EROFS"),
        Control("root", _OTHER_LINK),
        unchanged="/etc/passwd",
    ),
    Case(
        "hard-link-by-descriptor",
        "places",
        "link an open file of /etc into the project",
        "file = os.open('/etc/passwd', os.O_RDONLY)\nlink_open(file, b'hard')",
        ("EXDEV", "EPERM", "EROFS"),
        Control("root", _OTHER_LINK),
        unchanged="/etc/passwd",
    ),
    Case(
        "hard-link-from-store",
        "places",
        "link a file of the store into the project",
        "os.link(there.policy, 'hard')",
        ("EXDEV", "EPERM", "EROFS"),
        Control("root", _OTHER_LINK),
        unchanged="policy",
    ),
    Case(
        "hard-link-to-state",
        "places",
        "link a file of the project into the state",
        _MADE + "os.link('mine', os.environ['HOME'] + '/hard')",
        ("EXDEV",),
        Control("agent", _MADE + "os.link('mine', 'hard')"),
    ),
    Case(
        "hard-link-out",
        "system",
        "link a file of the project into /etc",
        _MADE + "os.link('mine', '/etc/checks-hard')",
        ("EXDEV", *CLOSED),
        Control("root", _OTHER_LINK),
        absent="/etc/checks-hard",
    ),
    Case(
        "rename-out",
        "system",
        "rename a file of the project into /etc",
        _MADE + "os.rename('mine', '/etc/checks-moved')",
        ("EXDEV", *CLOSED),
        Control("root", "os.rename(there.scratch, '/etc/checks-moved'); os.rename('/etc/checks-moved', there.scratch)"),
        absent="/etc/checks-moved",
    ),
    Case("proc-walk", "places", "through the root or directory of any process", _PROC_WALK, ("nothing",), _ROOT),
    Case(
        "inherited-directory",
        "places",
        "out of a directory that was left open",
        _DESCRIPTORS,
        ("nothing",),
        Control("alice", _LEAKED + _DESCRIPTORS),
    ),
    Case(
        "handle",
        "places",
        "open a key by its file handle (open_by_handle_at)",
        _HANDLE,
        ("EPERM",),
        Control("root"),
    ),
    Case(
        "append-passwd",
        "system",
        "append to /etc/passwd",
        "with open('/etc/passwd', 'a') as file: file.write('#')",
        CLOSED,
        Control("root", "append('/etc/passwd')"),
        unchanged="/etc/passwd",
    ),
    Case("append-program", "system", "append to a program", "append(there.program)", CLOSED, _ROOT),
    Case(
        "chmod-program",
        "system",
        "make a program of the system writable",
        "os.chmod(there.program, 0o777)",
        CLOSED,
        Control("root", "os.chmod(there.program, os.stat(there.program).st_mode & 0o7777)"),
        unchanged="program",
    ),
    Case(
        "dac-chown",
        "system",
        "own a file of the system",
        "os.chown('/etc/passwd', os.getuid(), -1)",
        CLOSED,
        Control("root", "os.chown('/etc/passwd', 0, -1)"),
        unchanged="/etc/passwd",
    ),
)

_KERNEL_FILES: Final = tuple(
    Case(
        f"write-{name}",
        "system",
        f"write to /proc{path}",
        f"append('/proc{path}')",
        CLOSED,
        # If the machine is a container, its own /proc is closed to its root too.
        Control("root", f"mount(b'proc', b'/tmp', b'proc')\nappend('/tmp{path}')"),
    )
    for name, path in {
        "core-pattern": "/sys/kernel/core_pattern",
        "drop-caches": "/sys/vm/drop_caches",
        "randomize": "/sys/kernel/randomize_va_space",
    }.items()
)
_WRITABLE: Final = (
    "found([path for top in ('TOP/kernel', 'TOP/class') for path, _, names in os.walk(top)"
    " for name in names if os.access(f'{path}/{name}', os.W_OK)])"
)
_SYSFS: Final = (
    Case(
        "sysfs",
        "system",
        "find a file in /sys/kernel or /sys/class that it may write",
        _WRITABLE.replace("TOP", "/sys"),
        ("nothing",),
        Control(
            "root",
            "os.unshare(os.CLONE_NEWNET)\nmount(b'sysfs', b'/tmp', b'sysfs')\n" + _WRITABLE.replace("TOP", "/tmp"),
        ),
    ),
    Case(
        "cgroup-make",
        "afterwards",
        "make a control group",
        "os.mkdir('/sys/fs/cgroup/checks-escape')",
        CLOSED,
        Control("root", "place = there.cgroup + '/checks-escape'\nos.mkdir(place)\nos.rmdir(place)"),
        absent="/sys/fs/cgroup/checks-escape",
    ),
    Case(
        "cgroup-leave",
        "afterwards",
        "leave the session's control group",
        "found([path for path, _, names in os.walk('/sys/fs/cgroup') if 'cgroup.procs' in names"
        " and accessible(lambda: append(path + '/cgroup.procs'))])",
        ("nothing",),
        _ROOT,
    ),
)

CASES: Final = grouped("filesystem", *_WRITE, *_READ, *_COMPILED, *_LINK, *_KERNEL_FILES, *_SYSFS)
