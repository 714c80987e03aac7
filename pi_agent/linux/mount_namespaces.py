"""Entering the mount namespace of another process (mount_namespaces(7)). Runs as root."""

from __future__ import annotations

import os

from pi_agent.python.c_library import checked, libc
from pi_agent.python.standard import contextmanager, signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

_CLONE_NEWNS: Final = 0x20000
_FAILED: Final = 70


@contextmanager
def entered(process: int) -> Iterator[None]:
    """While entered, this process has the mounts of the process, by its descriptor (pidfd_open(2), setns(2)).

    `/` is that of the namespace, and its /proc may show other processes: what is needed of the host must be open. The
    working directory is the host's /proc/self/fd, in which the number of a descriptor names what it has open
    (proc_pid_fd(5)). Signals wait until the end, because a handler would start programs in there. Raises OSError.
    """
    here = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    directory = os.open(".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    own = os.open("/proc/self/fd", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        checked(libc.setns(process, _CLONE_NEWNS))
        try:
            os.fchdir(own)
            yield
        finally:
            _return(here, directory)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        for descriptor in (here, directory, own):
            os.close(descriptor)


def _return(here: int, directory: int) -> None:
    try:
        checked(libc.setns(here, _CLONE_NEWNS))
        os.fchdir(directory)
    except OSError:
        # Nothing may be done for the host in here. The guard cleans up.
        os._exit(_FAILED)
