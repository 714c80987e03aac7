"""Boots, finds, enters and halts the guest with systemd-nspawn.

A backend: see `harness/protocols.py`.

The guest has a network namespace of its own, without a link to the host's (`--private-network`). It is not registered
with machined, which a host may lack. References: systemd-nspawn(1), sd_notify(3), nsenter(1).
"""

from __future__ import annotations

import os
import select
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from . import base, cgroup
from .layout import GUEST_PROJECT, Place, digest
from .process import Process, running, stop
from .run import CheckError, detach, run, tail

KIND: Final = "machine"
NEEDS: Final = {"systemd-nspawn": "systemd-container", "nsenter": "util-linux"}
BUILDER: Final = ""
BOOT_SECONDS: Final = 60
HALT_SECONDS: Final = 20
MARK: Final = "running"
PROPAGATE: Final = Path("/run/systemd/nspawn/propagate")
NAMESPACES: Final = ("-m", "-u", "-i", "-n", "-p", "-C", "-r", "-w")


@dataclass(frozen=True, slots=True)
class Guest:
    """A booted guest: the nspawn process that holds it, and its systemd as the host sees it."""

    holder: Process
    leader: Process

    def command(self, words: Sequence[str], terminal: bool = False) -> list[str]:
        """The command line on the host that runs `words` in the guest, as root. A terminal is passed on as it is."""
        # The process joins the guest's cgroup first, so that the guest's logind can move it to a session of its own.
        target = str(self.leader.pid)
        return [*cgroup.joining(cgroup.of(self.leader.pid)), "nsenter", "-t", target, *NAMESPACES, "--", *words]

    def dump(self) -> str:
        """The text that `parse` reads."""
        return " ".join([str(self.holder.pid), self.holder.started, str(self.leader.pid), self.leader.started])


def parse(text: str) -> Guest:
    """Read the output of `Guest.dump`."""
    holder, holder_start, leader, leader_start = text.split()
    return Guest(Process(int(holder), holder_start), Process(int(leader), leader_start))


def key(base: Path) -> str:
    """A name for the root that `make` creates from this base. It changes with the way in which the guest is booted."""
    return f"{base.name} {digest([Path(__file__).read_bytes()])}"


def make(place: Place, root: Path, store: Path | None) -> None:
    """Make the guest's root from a base. The guest builds its system itself, so the root starts without a store."""
    base.copy(root, place.root)


def send(place: Place, guest: Guest) -> None:
    """Does nothing: the guest has the project mounted."""


def find(place: Place) -> Guest | None:
    """The booted guest of this checkout, if any."""
    mark = place.read(MARK)
    guest = parse(mark) if mark else None
    return guest if guest and guest.holder.alive() and guest.leader.alive() else None


def argv(place: Place) -> list[str]:
    """The command that boots the guest."""
    return [
        *cgroup.own(place.name),
        "systemd-nspawn",
        "--quiet",
        "--boot",
        "--register=no",
        "--keep-unit",
        "--private-network",
        "--notify-ready=yes",
        "--console=read-only",
        "--settings=no",
        # What a kernel of its own would allow, and nspawn does not by default.
        "--system-call-filter=landlock_create_ruleset landlock_add_rule landlock_restrict_self",
        "--resolv-conf=off",
        "--timezone=off",
        "--link-journal=no",
        f"--machine={place.name}",
        "--hostname=machine",
        f"--bind-ro={place.project}:{GUEST_PROJECT}",
        f"--directory={place.root}",
    ]


def boot(place: Place) -> Guest:
    """Boot the guest, and return when its systemd reports that it is up.

    Raises CheckError with the end of the console log if it does not come up in time.
    """
    with notifications() as (address, inbox):
        # NixOS and every current Debian have only cgroup v2. Show the guest that, even on a hybrid host.
        env = {"NOTIFY_SOCKET": address, "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"}
        pid = detach(argv(place), place.console, env)
        holder = running(pid)
        try:
            guest = Guest(holder, wait_for_leader(inbox, holder))
            place.write(MARK, guest.dump())
            settle(guest)
        except CheckError as error:
            stop(holder, HALT_SECONDS)
            tidy(place)
            raise CheckError(f"{error.problem}\n{tail(place.console)}", f"see {place.console}") from error
    return guest


@contextmanager
def notifications() -> Iterator[tuple[str, socket.socket]]:
    """A socket on which nspawn reports, and its address."""
    with (
        tempfile.TemporaryDirectory(prefix="pi-agent-checks-") as folder,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as inbox,
    ):
        address = f"{folder}/notify"
        inbox.bind(address)
        yield address, inbox


def wait_for_leader(inbox: socket.socket, holder: Process) -> Process:
    """Read reports until the guest's systemd sends READY=1. Returns that systemd as the host sees it."""
    leader = 0
    deadline = time.monotonic() + BOOT_SECONDS
    handle = os.pidfd_open(holder.pid)
    try:
        while True:
            left = max(0.0, deadline - time.monotonic())
            ready, _, _ = select.select([inbox.fileno(), handle], [], [], left)
            if inbox.fileno() not in ready:
                raise CheckError("the guest ended while booting" if ready else "the guest did not boot in time")
            report = dict(line.partition("=")[::2] for line in inbox.recv(4096).decode().splitlines())
            leader = int(report.get("X_NSPAWN_LEADER_PID", leader))
            if "READY" in report:
                return running(leader)
    finally:
        os.close(handle)


def settle(guest: Guest) -> None:
    """Wait for the start-up jobs. A failed unit is accepted here; scenarios check for it."""
    wait = ["timeout", str(BOOT_SECONDS), "systemctl", "is-system-running", "--wait"]
    state = run(guest.command(wait), accept=range(256), capture=True).output.strip()
    if state not in ("running", "degraded"):
        raise CheckError(f"the guest's systemd is {state or 'silent'} instead of running")


def halt(place: Place) -> None:
    """Power the guest off, and leave no process, mount or cgroup of it behind."""
    guest = find(place)
    if guest:
        # On SIGTERM, nspawn tells the guest's systemd to halt.
        stop(guest.holder, HALT_SECONDS)
    tidy(place)


def tidy(place: Place) -> None:
    """Remove the traces of a guest that has ended."""
    place.forget(MARK)
    cgroup.remove(place.name)
    # nspawn removes this directory itself, but only if /run is not a disk.
    shutil.rmtree(PROPAGATE / place.name, ignore_errors=True)
