"""Which files a session may open, whatever descriptors it holds: words for setpriv(1), which sets up Landlock.

A session's mounts leave it only what it may see. But somebody can send it a descriptor over a socket, and a descriptor
of a directory outside opens what lies below that. Landlock walks from each file up to the root of the view through
which it is opened, and refuses if no rule is on the way. One rule, for the root of the session's own view, allows all
that the session sees. What is already open stays open; Landlock judges no chmod(2), stat(2) and the like.

References: landlock(7), setpriv(1).
"""

from __future__ import annotations

import fcntl
import os
import stat

from pi_agent.linux import landlock
from pi_agent.policy.policy_file import Policy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

# Before version 2, Landlock refuses every rename and link from one directory to another.
OLDEST: Final = 2
# What a rule allows. If a right is not named, everybody has it, as with ioctl(2) on devices.
_ALL: Final = (
    "execute,write-file,read-file,read-dir,remove-dir,remove-file,make-char,make-dir,make-reg,make-sock,make-fifo,"
    "make-block,make-sym,refer"
)
# From version 3 on.
_TRUNCATE: Final = "truncate"
_TRUNCATES_SINCE: Final = 3
# By the way in which a stream is open.
_RIGHTS: Final = {
    os.O_RDONLY: ("read-file",),
    os.O_WRONLY: ("write-file", _TRUNCATE),
    os.O_RDWR: ("read-file", "write-file", _TRUNCATE),
}
# What systemd reads as true.
_TRUE: Final = ("1", "yes", "y", "true", "t", "on")


def allows_mounts(policy: Policy) -> bool:
    """Whether the administrator loosened namespaces, so that programs inside can mount. Landlock allows no mount."""
    values = [each.partition("=") for each in policy.sandbox.properties]
    return any(name == "RestrictNamespaces" and value not in _TRUE for name, _, value in values)


def confinement(policy: Policy, *, terminal: bool) -> tuple[str, ...]:
    """The words for setpriv(1); none if the kernel lacks Landlock, or if programs inside may mount.

    terminal: whether the session gets a terminal; if not, it gets this process's standard streams.
    """
    version = landlock.version()
    if version < OLDEST or allows_mounts(policy):
        return ()
    rights = _ALL if version < _TRUNCATES_SINCE else f"{_ALL},{_TRUNCATE}"
    # The kernel opens message queues through a mount of its own, which lies below no root (mq_overview(7)).
    rules = {"/": rights, "/dev/mqueue": "read-file,write-file,make-reg,remove-file"}
    # A program can open a stream again by the name of /dev/stdin and its like, which are links to these.
    if terminal:
        rules["/proc/self/fd/0"] = "read-file,write-file"
    else:
        for stream in (0, 1, 2):
            if allowed := _reopened(stream, version):
                rules[f"/proc/self/fd/{stream}"] = allowed
    words = ["--landlock-access", f"fs:{rights}"]
    for path, allowed in rules.items():
        words += ["--landlock-rule", f"path-beneath:{allowed}:{path}"]
    return tuple(words)


def _reopened(stream: int, version: int) -> str:
    """What a session may do with a standard stream that it opens again; empty if that needs no rule, or gets none.

    A rule for a directory would allow everything below it. Pipes and sockets belong to no view, so they need none.
    """
    try:
        status = os.fstat(stream)
        named = os.readlink(f"/proc/self/fd/{stream}").startswith("/") and status.st_nlink > 0
        mode = fcntl.fcntl(stream, fcntl.F_GETFL)
    except OSError:  # closed
        return ""
    kinds = (stat.S_ISREG, stat.S_ISFIFO, stat.S_ISCHR)
    if not named or os.isatty(stream) or not any(kind(status.st_mode) for kind in kinds):
        return ""
    rights = _RIGHTS.get(mode & os.O_ACCMODE, ()) if not mode & os.O_PATH else ()
    return ",".join(right for right in rights if right != _TRUNCATE or version >= _TRUNCATES_SINCE)
