"""Boots, finds, enters and halts the guest as a virtual machine with a kernel of its own.

A backend: see `harness/protocols.py`. `harness/disk.py` makes its disk, and `harness/ssh.py` connects to it: it has no
network card (`-nic none`).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from . import kernel, layout
from .disk import SENT, key, make
from .layout import Place
from .process import Process, boot_id, gone, running, stop
from .run import CheckError, detach, run, say, tail
from .ssh import ANY_STATUS, TOOLS, Guest, connected, connecting, port

__all__ = ["BUILDER", "KIND", "NEEDS", "boot", "find", "halt", "key", "make", "send"]

KIND: Final = "vm"
NEEDS: Final = {
    "qemu-system-x86_64": "qemu-system-x86",
    "mkfs.ext4": "e2fsprogs",
    "ssh": "openssh-client",
    "socat": "socat",
}
# In emulation, Nix takes five minutes for what a container builds in half a minute.
BUILDER: Final = "nspawn"
# In emulation, on a busy host with two processors, booting takes 40 seconds.
BOOT_SECONDS: Final = 300
HALT_SECONDS: Final = 60
PROBE_SECONDS: Final = 20
STOP_SECONDS: Final = 5
MEMORY: Final = "2048"
RUNNING: Final = "running"
ACCELERATOR: Final = "accelerator"
KVM: Final = ("-accel", "kvm", "-cpu", "host")
EMULATION: Final = ("-accel", "tcg,thread=multi", "-cpu", "max")
KERNEL_OPTIONS: Final = "console=ttyS0 panic=-1"
# Printed by a kernel that got as far as looking for its disk. The probe gives it none.
PROBE_WORD: Final = b"Unable to mount root fs"


def boot(place: Place) -> Guest:
    """Boot the guest, and return when its systemd has finished its start-up jobs.

    Raises CheckError with the end of the console log if it does not come up in time.
    """
    accelerator = choose(place)
    say(f"booting the virtual machine ({'with KVM' if accelerator == KVM else 'emulated: about a minute'})")
    port(place).unlink(missing_ok=True)
    pid = detach(argv(place, accelerator), place.console, {})
    place.write(RUNNING, f"{pid} {running(pid).started}")
    try:
        return reached(place, running(pid))
    except CheckError:
        halt(place)
        raise


def machine(accelerator: Sequence[str], options: str) -> list[str]:
    """The command line of a bare machine: processors, memory, kernel and console."""
    return [
        "qemu-system-x86_64",
        *("-machine", "q35", *accelerator, "-smp", "2", "-m", MEMORY),
        *("-nodefaults", "-no-user-config", "-nic", "none", "-display", "none", "-no-reboot"),
        *("-kernel", str(kernel.ensure() / "vmlinuz"), "-append", f"{KERNEL_OPTIONS} {options}"),
        *("-chardev", "stdio,id=console,signal=off", "-serial", "chardev:console"),
    ]


def argv(place: Place, accelerator: Sequence[str]) -> list[str]:
    """The command that boots the guest."""
    return [
        *machine(accelerator, "root=/dev/nvme0n1 rw rootwait quiet systemd.show_status=yes systemd.getty_auto=no"),
        # The disk outlives the machine, but not a crash of the host; then it is made anew.
        *("-drive", f"file={place.root},format=raw,if=none,id=root,cache=unsafe"),
        *("-device", "nvme,drive=root,serial=root"),
        *("-device", "virtio-serial", "-chardev", f"socket,id=host,path={port(place)},server=on,wait=off"),
        *("-device", "virtserialport,chardev=host,name=host"),
    ]


def choose(place: Place) -> Sequence[str]:
    """How to run the machine: with KVM if a kernel boots with it, which is tested once per boot of the host."""
    mark = f"{boot_id()} {kernel.ensure().name}"
    tried = place.read(ACCELERATOR).rpartition(" ")
    if tried[0] != mark:
        tried = (mark, " ", "kvm" if Path("/dev/kvm").exists() and probe(place) else "tcg")
        place.write(ACCELERATOR, "".join(tried))
    return KVM if tried[2] == "kvm" else EMULATION


def probe(place: Place) -> bool:
    """Whether a machine with KVM boots this kernel until it misses its disk. An existing /dev/kvm does not prove it."""
    log = place.directory / "probe.log"
    log.unlink(missing_ok=True)
    run(["timeout", str(PROBE_SECONDS), *machine(KVM, "")], accept=ANY_STATUS, log=log)
    return PROBE_WORD in log.read_bytes()


def reached(place: Place, process: Process) -> Guest:
    """The guest, once it has answered and finished its start-up jobs.

    A failed unit is accepted here; scenarios check for it.
    """
    guest = Guest(process, place.directory / "ssh")
    with layout.locked(guest.connection):
        if connected(guest):
            return guest
        guest.connection.unlink(missing_ok=True)
        log = place.directory / "ssh.log"
        done = run(connecting(place, guest, BOOT_SECONDS), accept=ANY_STATUS, log=log)
        if done.status != 0:
            what = "does not answer" if process.alive() else "ended while booting"
            raise failure(place, f"the virtual machine {what}: {tail(log, 1).strip()}")
        wait = ["timeout", str(BOOT_SECONDS), "systemctl", "is-system-running", "--wait"]
        state = run(guest.command(wait), accept=ANY_STATUS, capture=True).output.strip()
        if state not in ("running", "degraded"):
            raise failure(place, f"the virtual machine's systemd is {state or 'silent'} instead of running")
    return guest


def failure(place: Place, problem: str) -> CheckError:
    """An error that describes the problem, with the end of the console log."""
    return CheckError(f"{problem}\n{tail(place.console)}", f"see {place.console}")


def find(place: Place) -> Guest | None:
    """The booted guest of this checkout, if any. Connects again if only the connection is lost."""
    process = marked(place)
    return reached(place, process) if process and process.alive() else None


def marked(place: Place) -> Process | None:
    """The QEMU process that was last started and not halted since."""
    mark = place.read(RUNNING).split()
    return Process(int(mark[0]), mark[1]) if mark else None


def send(place: Place, guest: Guest) -> None:
    """Send the export of the project to the guest, unless it has the same one."""
    archive = place.directory / "project.tar"
    plain = ("--sort=name", "--owner=0", "--group=0", "--numeric-owner", "--mtime=@0")
    run(["tar", *plain, "-C", place.project, "-cf", archive, "."])
    content = layout.digest([archive.read_bytes()])
    if place.read(SENT) != content:
        place.forget(SENT)
        run(guest.command([f"{TOOLS}/receive"]), stdin=archive)
        place.write(SENT, content)
    archive.unlink()


def halt(place: Place) -> None:
    """Power the guest off. If that fails, end QEMU.

    A machine that did not power off may have lost its last writes, so its root is made anew.
    """
    process = marked(place)
    if not process:
        return
    if not (process.alive() and powered_off(place, process)):
        stop(process, STOP_SECONDS)
        place.forget(layout.ROOT_MARK)
    place.forget(RUNNING)


def powered_off(place: Place, process: Process) -> bool:
    """Make the guest power itself off. Returns whether it has."""
    guest = Guest(process, place.directory / "ssh")
    off = ["timeout", str(STOP_SECONDS), *guest.command(["systemctl", "--no-block", "poweroff"])]
    # The connection may end before its answer arrives.
    return connected(guest) and run(off, accept=ANY_STATUS, capture=True).status != 124 and gone(process, HALT_SECONDS)
