"""Boots the guest as a virtual machine with a kernel of its own, and finds, enters and halts it.

A backend: see `harness/backend.py`. The root is the one that `nspawn` boots, as an ext4 image, plus the kernel's
modules and what is in `checks/guest/vm`.

The machine has no network card at all (`-nic none`). What connects it to the host is a serial port of virtio's, and
over that one connection of ssh, which all commands share (ControlMaster in ssh_config(5)). So exit statuses, three
separate streams and terminals are ssh's business and not ours; there is no port on the host that others could reach;
and it needs no vhost_vsock, which many hosts have not. The guest runs `sshd -i` on its end of the port.
"""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from . import base, closure, kernel, layout
from .layout import Place
from .process import Process, boot_id, gone, running, stop
from .run import CheckError, detach, run, say, tail

KIND: Final = "vm"
NEEDS: Final = {
    "qemu-system-x86_64": "qemu-system-x86",
    "mkfs.ext4": "e2fsprogs",
    "ssh": "openssh-client",
    "socat": "socat",
}
# Emulated, Nix takes five minutes for what a container builds in half a minute.
BUILDER: Final = "nspawn"
# Emulated, on a busy host of two processors, it takes 40 seconds.
BOOT_SECONDS: Final = 300
HALT_SECONDS: Final = 60
PROBE_SECONDS: Final = 20
STOP_SECONDS: Final = 5
MEMORY: Final = "2048"
# Sparse: it takes what is in it.
DISK_BYTES: Final = 8 * 2**30
RUNNING: Final = "running"
SENT: Final = "sent"
ACCELERATOR: Final = "accelerator"
OVERLAY: Final = layout.GUEST / "vm"
KEYS: Final = Path("etc/ssh/host-channel.keys")
TOOLS: Final = "/usr/local/lib/pi-agent-checks"
KVM: Final = ("-accel", "kvm", "-cpu", "host")
EMULATION: Final = ("-accel", "tcg,thread=multi", "-cpu", "max")
KERNEL_OPTIONS: Final = "console=ttyS0 panic=-1"
# What a kernel says that came as far as looking for its disk; the probe gives it none.
PROBE_WORD: Final = b"Unable to mount root fs"
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


# -- its root


def key(root: Path) -> str:
    """Names the image that `make` makes from this base."""
    own = [path for path in sorted(OVERLAY.rglob("*")) if path.is_file()]
    return f"{root.name} {layout.digest([Path(__file__).read_bytes(), *(path.read_bytes() for path in own)])}"


def make(place: Place, root: Path, store: Path | None) -> None:
    """Make the image of the guest's root from a base, with a store in it: over the channel that takes a minute."""
    say("making the image of the virtual machine")
    tree = place.directory / "tree"
    base.copy(root, tree)
    complete(tree, kernel.ensure(), new_key(place))
    if store:
        # Nix wants to see /proc.
        inside = ["unshare", "--mount", "--pid", "--fork", f"--mount-proc={tree}/proc", "chroot", str(tree)]
        run([*inside, *closure.IMPORT], stdin=store, log=place.build_log)
    draft = place.directory / "root.new"
    draft.unlink(missing_ok=True)
    with open(draft, "wb") as image:
        image.truncate(DISK_BYTES)
    run(["mkfs.ext4", "-q", "-F", "-d", tree, draft])
    draft.rename(place.root)
    shutil.rmtree(tree)
    place.forget(SENT)


def complete(tree: Path, its_kernel: Path, public: Path) -> None:
    """Add what a root needs on a machine of its own: modules, the channel, a name, a place for the project."""
    run(["cp", "-a", its_kernel / "modules", tree / "usr/lib/"])
    for modules in (its_kernel / "modules").iterdir():
        run(["chroot", tree, "depmod", modules.name])
    run(["cp", "-R", f"{OVERLAY}/.", tree])
    shutil.copy(public, tree / KEYS)
    (tree / "etc/hostname").write_text("machine\n")
    for folder in ("var/lib/pi-agent-project", layout.GUEST_PROJECT.relative_to("/")):
        (tree / folder).mkdir(parents=True, exist_ok=True)


def new_key(place: Place) -> Path:
    """Make a key for the guest; return its public half."""
    public = private(place).with_suffix(".pub")
    for path in (private(place), public):
        path.unlink(missing_ok=True)
    run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", place.name, "-f", private(place)])
    return public


# -- booting


def boot(place: Place) -> Guest:
    """Boot the guest and return when its systemd has done its start-up jobs.

    Raises CheckError with the end of the console log when it does not come up in time.
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
    """The words for a bare machine: processors, memory, kernel and console."""
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
        # The disk outlives the machine, not a crash of the host: then it is made anew.
        *("-drive", f"file={place.root},format=raw,if=none,id=root,cache=unsafe"),
        *("-device", "nvme,drive=root,serial=root"),
        *("-device", "virtio-serial", "-chardev", f"socket,id=host,path={port(place)},server=on,wait=off"),
        *("-device", "virtserialport,chardev=host,name=host"),
    ]


def choose(place: Place) -> Sequence[str]:
    """How the machine is run: with KVM where a kernel really boots with it, which is tried once a boot of the host."""
    mark = f"{boot_id()} {kernel.ensure().name}"
    tried = place.read(ACCELERATOR).rpartition(" ")
    if tried[0] != mark:
        tried = (mark, " ", "kvm" if Path("/dev/kvm").exists() and probe(place) else "tcg")
        place.write(ACCELERATOR, "".join(tried))
    return KVM if tried[2] == "kvm" else EMULATION


def probe(place: Place) -> bool:
    """Whether a machine with KVM boots this kernel until it misses its disk. A /dev/kvm alone says little."""
    log = place.directory / "probe.log"
    log.unlink(missing_ok=True)
    run(["timeout", str(PROBE_SECONDS), *machine(KVM, "")], accept=ANY_STATUS, log=log)
    return PROBE_WORD in log.read_bytes()


def reached(place: Place, process: Process) -> Guest:
    """The guest, once it has answered and its start-up jobs are done.

    A guest with a failed unit is good enough to look at: scenarios judge.
    """
    guest = Guest(process, place.directory / "ssh")
    with layout.locked(guest.connection):
        if connected(guest):
            return guest
        guest.connection.unlink(missing_ok=True)
        log = place.directory / "ssh.log"
        done = run(connecting(place, guest), accept=ANY_STATUS, log=log)
        if done.status != 0:
            what = "does not answer" if process.alive() else "ended while booting"
            raise failure(place, f"the virtual machine {what}: {tail(log, 1).strip()}")
        wait = ["timeout", str(BOOT_SECONDS), "systemctl", "is-system-running", "--wait"]
        state = run(guest.command(wait), accept=ANY_STATUS, capture=True).output.strip()
        if state not in ("running", "degraded"):
            raise failure(place, f"the virtual machine's systemd is {state or 'silent'} instead of running")
    return guest


def connecting(place: Place, guest: Guest) -> list[str]:
    """The command that makes the connection, waits in the background and ends with the machine."""
    return [
        *("timeout", str(BOOT_SECONDS), "ssh", "-F", "none", "-f", "-N", "-M", "-S", str(guest.connection)),
        *("-i", str(private(place)), *SSH_OPTIONS, "-o", "ControlPersist=no"),
        # QEMU makes the socket before it boots, and a moment after it is started.
        *("-o", f"ProxyCommand=socat STDIO UNIX-CONNECT:{shlex.quote(str(port(place)))},retry=50,interval=0.1"),
        "root@machine",
    ]


def connected(guest: Guest) -> bool:
    """Whether the connection is up."""
    check = [*ssh(guest.connection), "-O", "check", "root@machine"]
    return guest.connection.exists() and run(check, accept=ANY_STATUS, log=Path(os.devnull)).status == 0


def failure(place: Place, problem: str) -> CheckError:
    """What went wrong, with the end of the console log."""
    return CheckError(f"{problem}\n{tail(place.console)}", f"see {place.console}")


# -- afterwards


def find(place: Place) -> Guest | None:
    """The booted guest of this checkout, if there is one. Connects again where only the connection is lost."""
    process = marked(place)
    return reached(place, process) if process and process.alive() else None


def marked(place: Place) -> Process | None:
    """The QEMU that was started last and not halted since."""
    mark = place.read(RUNNING).split()
    return Process(int(mark[0]), mark[1]) if mark else None


def send(place: Place, guest: Guest) -> None:
    """Send the export of the project to the guest, if it has another one."""
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
    """Power the guest off, and end QEMU if that does not.

    A machine that did not end by itself may have lost what it wrote last, so its root is made anew.
    """
    process = marked(place)
    if not process:
        return
    if not (process.alive() and powered_off(place, process)):
        stop(process, STOP_SECONDS)
        place.forget(layout.ROOT_MARK)
    place.forget(RUNNING)


def powered_off(place: Place, process: Process) -> bool:
    """Have the guest power itself off; whether it has."""
    guest = Guest(process, place.directory / "ssh")
    off = ["timeout", str(STOP_SECONDS), *guest.command(["systemctl", "--no-block", "poweroff"])]
    # The connection may end before its answer has arrived.
    return connected(guest) and run(off, accept=ANY_STATUS, capture=True).status != 124 and gone(process, HALT_SECONDS)
