"""Resets the process state that a privileged program inherits from its caller.

sudo(8) cleans the environment, the descriptors and the working identity. It passes on the caller's umask, resource
limits, and blocked and ignored signals. With these, a host user could interrupt a launch at a harmful moment.
"""

from __future__ import annotations

import os
import resource

from pi_agent.python.standard import signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

# Unlimited: files of any size can be written, any memory used, and no clean-up is killed for its CPU time.
_UNLIMITED: Final = (
    resource.RLIMIT_AS,
    resource.RLIMIT_CPU,
    resource.RLIMIT_DATA,
    resource.RLIMIT_FSIZE,
    resource.RLIMIT_NPROC,
)
_DESCRIPTORS: Final = 4096
_STACK: Final = 8 * 1024**2
# No core dump, into a file or a program's pipe. A pipe in core_pattern ignores a limit of 0, and systemd-coredump
# writes the environment, secrets included, into the journal. The kernel takes 1 for «do not dump» (fs/coredump.c).
NO_CORE: Final = 1


def drop_inherited() -> None:
    """Set umask, resource limits, signal mask and dispositions to fixed values. Must run as root."""
    os.umask(0o022)
    for limit in _UNLIMITED:
        _raise(limit, resource.RLIM_INFINITY)
    _raise(resource.RLIMIT_NOFILE, _DESCRIPTORS)
    _raise(resource.RLIMIT_STACK, _STACK)
    _raise(resource.RLIMIT_CORE, NO_CORE)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    for number in (signal.SIGCHLD, signal.SIGHUP, signal.SIGQUIT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    # A stopped launch might never be continued, and would leave its directory behind.
    for number in (signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _raise(limit: int, value: int) -> None:
    try:
        resource.setrlimit(limit, (value, value))
    except (ValueError, OSError):  # root without CAP_SYS_RESOURCE, as in a container: raise it as far as possible
        hard = resource.getrlimit(limit)[1]
        resource.setrlimit(limit, (hard, hard))
