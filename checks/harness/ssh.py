"""The connection to a virtual machine: a virtio serial port, and one ssh connection over it.

All commands share the connection (ControlMaster in ssh_config(5)). So ssh takes care of exit statuses, three separate
streams and terminals. No port on the host is open to others, and vhost_vsock, which many hosts lack, is not needed. The
guest runs `sshd -i` on its end of the port.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from .layout import Place
from .process import Process
from .run import run

TOOLS: Final = "/usr/local/lib/pi-agent-checks"
ANY_STATUS: Final = range(-64, 256)
SSH_OPTIONS: Final = tuple(
    word
    for option in (
        "LogLevel=ERROR",
        "BatchMode=yes",
        "EscapeChar=none",
        # The port leads only to this machine.
        "StrictHostKeyChecking=no",
        "UserKnownHostsFile=/dev/null",
    )
    for word in ("-o", option)
)


@dataclass(frozen=True, slots=True)
class Guest:
    """A booted guest: its QEMU process, and the socket of the ssh connection to it."""

    machine: Process
    connection: Path

    def command(self, words: Sequence[str], terminal: bool = False) -> list[str]:
        """The command line that runs `words` in the guest, as root. A terminal gets a counterpart in the guest."""
        return [*ssh(self.connection), *(["-tt"] if terminal else []), "root@machine", "--", remote(words)]


def remote(words: Sequence[str]) -> str:
    """`words` quoted for the guest's shell, run under `follow` as long as the caller is there."""
    # ssh passes TERM on only with a terminal.
    term = [f"TERM={os.environ['TERM']}"] if "TERM" in os.environ else []
    return "exec " + shlex.join(["env", *term, f"{TOOLS}/follow", *words])


def ssh(connection: Path) -> list[str]:
    """ssh over the existing connection only: without it, it fails at once."""
    return ["ssh", "-F", "none", "-S", str(connection), *SSH_OPTIONS, "-o", "ProxyCommand=false"]


def private(place: Place) -> Path:
    """The private key for the guest."""
    return place.directory / "key"


def port(place: Place) -> Path:
    """The host's end of the serial port."""
    return place.directory / "port"


def new_key(place: Place) -> Path:
    """Make a key for the guest, and return its public half."""
    public = private(place).with_suffix(".pub")
    for path in (private(place), public):
        path.unlink(missing_ok=True)
    run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", place.name, "-f", private(place)])
    return public


def connecting(place: Place, guest: Guest, seconds: int) -> list[str]:
    """The command that connects within so many seconds, waits in the background and ends with the machine."""
    return [
        *("timeout", str(seconds), "ssh", "-F", "none", "-f", "-N", "-M", "-S", str(guest.connection)),
        *("-i", str(private(place)), *SSH_OPTIONS, "-o", "ControlPersist=no"),
        # QEMU creates the socket before it boots, but a moment after it starts.
        *("-o", f"ProxyCommand=socat STDIO UNIX-CONNECT:{shlex.quote(str(port(place)))},retry=50,interval=0.1"),
        "root@machine",
    ]


def connected(guest: Guest) -> bool:
    """Whether the connection is up."""
    check = [*ssh(guest.connection), "-O", "check", "root@machine"]
    return guest.connection.exists() and run(check, accept=ANY_STATUS, log=Path(os.devnull)).status == 0
