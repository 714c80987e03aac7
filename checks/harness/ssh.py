"""How a virtual machine is reached: a serial port of virtio's, and over that one connection of ssh.

All commands share the connection (ControlMaster in ssh_config(5)). So exit statuses, three separate streams and
terminals are ssh's business and not ours; there is no port on the host that others could reach; and it needs no
vhost_vsock, which many hosts have not. The guest runs `sshd -i` on its end of the port.
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
        # The port leads to this machine and nowhere else.
        "StrictHostKeyChecking=no",
        "UserKnownHostsFile=/dev/null",
    )
    for word in ("-o", option)
)


@dataclass(frozen=True, slots=True)
class Guest:
    """A booted guest: its QEMU, and the socket of the ssh connection to it."""

    machine: Process
    connection: Path

    def command(self, words: Sequence[str], terminal: bool = False) -> list[str]:
        """What to run here so that `words` run in the guest, as root. A terminal gets a counterpart in the guest."""
        return [*ssh(self.connection), *(["-tt"] if terminal else []), "root@machine", "--", remote(words)]


def remote(words: Sequence[str]) -> str:
    """Words as the guest's shell reads them, followed as long as the caller is there."""
    # ssh hands TERM on only with a terminal.
    term = [f"TERM={os.environ['TERM']}"] if "TERM" in os.environ else []
    return "exec " + shlex.join(["env", *term, f"{TOOLS}/follow", *words])


def ssh(connection: Path) -> list[str]:
    """ssh over the connection that is up, and no other: without it, it fails at once."""
    return ["ssh", "-F", "none", "-S", str(connection), *SSH_OPTIONS, "-o", "ProxyCommand=false"]


def private(place: Place) -> Path:
    """The key that opens the guest."""
    return place.directory / "key"


def port(place: Place) -> Path:
    """The host's end of the serial port."""
    return place.directory / "port"


def new_key(place: Place) -> Path:
    """Make a key for the guest; return its public half."""
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
        # QEMU makes the socket before it boots, and a moment after it is started.
        *("-o", f"ProxyCommand=socat STDIO UNIX-CONNECT:{shlex.quote(str(port(place)))},retry=50,interval=0.1"),
        "root@machine",
    ]


def connected(guest: Guest) -> bool:
    """Whether the connection is up."""
    check = [*ssh(guest.connection), "-O", "check", "root@machine"]
    return guest.connection.exists() and run(check, accept=ANY_STATUS, log=Path(os.devnull)).status == 0
