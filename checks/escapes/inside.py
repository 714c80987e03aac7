"""Makes attempts and reports the result of each. Runs in the sandbox, and outside for the controls.

Reads one JSON object, {"there": facts, "attempts": {name: Python}, "apart": whether each attempt gets its own mount
namespace and host name}, and prints {name: answer}. An answer is `works`, `nothing` (searched, and found nothing), the
name of an error (`EPERM`), `exit STATUS: TEXT` of a program that failed, `signal N`, `timeout`, or `broken: …` for an
attempt that could not be made. Needs only Python.
"""

import ctypes
import errno
import json
import os
import platform
import select
import signal
import socket
import stat
import struct
import subprocess
import sys
import tempfile
import types
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")

MS_REC, MS_PRIVATE, AT_SYMLINK_FOLLOW = 0x4000, 0x40000, 0x400
CLONE_NEWNS, CLONE_NEWUTS = 0x20000, 0x4000000
PATIENCE = 20  # seconds per attempt
LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.syscall.restype = ctypes.c_long
# System call numbers: of x86-64, and of later architectures. From 424 on, all have the same numbers.
NUMBERS = {
    "acct": (163, 89),
    "add_key": (248, 217),
    "adjtimex": (159, 171),
    "bpf": (321, 280),
    "capset": (126, 91),
    "clock_adjtime": (305, 266),
    "clock_settime": (227, 112),
    "delete_module": (176, 106),
    "fanotify_init": (300, 262),
    "finit_module": (313, 273),
    "init_module": (175, 105),
    "kcmp": (312, 272),
    "kexec_file_load": (320, 294),
    "kexec_load": (246, 104),
    "keyctl": (250, 219),
    "migrate_pages": (256, 238),
    "mount": (165, 40),
    "move_pages": (279, 239),
    "open_by_handle_at": (304, 265),
    "perf_event_open": (298, 241),
    "personality": (135, 92),
    "pivot_root": (155, 41),
    "process_vm_readv": (310, 270),
    "ptrace": (101, 117),
    "quotactl": (179, 60),
    "reboot": (169, 142),
    "request_key": (249, 218),
    "setdomainname": (171, 162),
    "setfsuid": (122, 151),
    "sethostname": (170, 161),
    "setns": (308, 268),
    "settimeofday": (164, 170),
    "swapon": (167, 224),
    "syslog": (103, 116),
    "umount2": (166, 39),
    "unshare": (272, 97),
    "userfaultfd": (323, 282),
    "vhangup": (153, 58),
    "io_uring_setup": (425, 425),
    "io_uring_register": (427, 427),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fspick": (433, 433),
    "clone3": (435, 435),
    "openat2": (437, 437),
    "pidfd_getfd": (438, 438),
    "mount_setattr": (442, 442),
    "fchmodat2": (452, 452),
}


class Nothing(Exception):
    """Searched, and found nothing."""


class Said(Exception):
    """A program failed. Holds its exit status and output."""


class Broken(Exception):
    """The attempt could not be made."""


def call(name: str, *arguments: int | bytes | ctypes.Array[ctypes.c_char] | None) -> int:
    """Make a system call by name, with integers and bytes as arguments. Raises OSError."""
    number = NUMBERS[name][platform.machine() != "x86_64"]
    words = [ctypes.c_long(word) if isinstance(word, int) else word for word in arguments]
    return checked(LIBC.syscall(ctypes.c_long(number), *words))


def checked(result: int) -> int:
    """The result of a C library function. Raises OSError if it is an error."""
    if result < 0:
        raise OSError(ctypes.get_errno(), "a call failed")
    return result


def program(*words: str, env: dict[str, str] | None = None) -> str:
    """The output of a program. Raises Said if it fails, and Broken if it does not exist."""
    environment = {**os.environ, **(env or {})}
    try:
        done = subprocess.run(
            words, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=PATIENCE - 2, env=environment
        )
    except FileNotFoundError as error:
        raise Broken(str(error)) from error
    if done.returncode:
        raise Said(
            f"exit {done.returncode}: " + " ".join((done.stderr + done.stdout).decode("utf-8", "replace").split())
        )
    return done.stdout.decode("utf-8", "replace").strip()


def found(value: T) -> T:
    """Returns value if it is something. Raises Nothing otherwise."""
    if not value:
        raise Nothing
    return value


def read(path: str) -> bytes:
    """The content of a file, which must not be empty."""
    with open(path, "rb") as file:
        return found(file.read(65536))


def leave(path: str) -> None:
    """Create a file."""
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))


def create(path: str) -> None:
    """Create a file, and remove it again."""
    leave(path)
    os.unlink(path)


def append(path: str) -> None:
    """Open a file for appending."""
    os.close(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_NONBLOCK))


def mount(source: bytes | None, target: bytes, kind: bytes | None = None, flags: int = 0) -> None:
    """mount(2)."""
    call("mount", source, target, kind, flags, None)


def connect(family: int, address: str | tuple[str, int], kind: int = socket.SOCK_STREAM) -> None:
    """Connect a socket."""
    with socket.socket(family, kind) as client:
        client.settimeout(3)
        client.connect(address)


def link_open(file: int, name: bytes) -> None:
    """Give an open file a name, as linkat(2) does for an unnamed one. os.link would link the link in /proc."""
    checked(LIBC.linkat(-100, f"/proc/self/fd/{file}".encode(), -100, name, AT_SYMLINK_FOLLOW))


def setid(path: str) -> None:
    """Raises Nothing if the file that was made is neither setuid nor setgid."""
    mode = os.lstat(path).st_mode
    found(stat.S_ISREG(mode) and mode & (stat.S_ISUID | stat.S_ISGID))


def accessible(action: Callable[[], object]) -> bool:
    """Whether an action raises no OSError."""
    try:
        action()
    except OSError:
        return False
    return True


def processes() -> list[int]:
    """The ids of all visible processes."""
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def read_of(pid: int, name: str) -> bytes:
    """A file in /proc of a process; empty if the process has ended meanwhile. Raises OSError if access is denied."""
    try:
        with open(f"/proc/{pid}/{name}", "rb") as file:
            return file.read()
    except (FileNotFoundError, ProcessLookupError):
        return b""


def answer(code: str, facts: dict[str, Any]) -> str:
    """Run the code, and return its result as one word."""
    # struct is only for attempts.
    names = {**globals(), "struct": struct, "there": types.SimpleNamespace(**facts)}
    try:
        exec(compile(code, "attempt", "exec"), names)  # noqa: S102 - this is its purpose
    except Nothing:
        return "nothing"
    except Said as error:
        return str(error)[:300]
    except TimeoutError as error:
        return errno.errorcode.get(error.errno or 0, "timeout")
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, f"broken: {error!r}")
    except BaseException as error:
        return f"broken: {error!r}"
    return "works"


def attempt(code: str, facts: dict[str, Any], *, apart: bool) -> str:
    """The answer to an attempt made in a process and a directory of its own."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.close(reading)
            os.setsid()
            if apart:
                call("unshare", CLONE_NEWNS | CLONE_NEWUTS)
                mount(b"none", b"/", None, MS_REC | MS_PRIVATE)
            os.chdir(tempfile.mkdtemp(prefix=".attempt-", dir="."))
            os.write(writing, answer(code, facts).encode("utf-8", "replace"))
        finally:
            os._exit(0)
    os.close(writing)
    ready, _, _ = select.select([reading], [], [], PATIENCE)
    text = os.read(reading, 4096).decode() if ready else "timeout"
    os.close(reading)
    if not ready:
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    return text or (f"signal {os.WTERMSIG(status)}" if os.WIFSIGNALED(status) else "broken: no answer")


def main() -> None:
    """See above."""
    work = json.load(sys.stdin)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    print(
        json.dumps({name: attempt(code, work["there"], apart=work["apart"]) for name, code in work["attempts"].items()})
    )


if __name__ == "__main__":
    main()
