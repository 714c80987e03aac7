"""The disk of the virtual machine: the root that `nspawn` boots, as an ext4 image, with the kernel's modules."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

from . import base, closure, kernel, layout
from .layout import Place
from .run import run, say
from .ssh import new_key

# Sparse: the file takes only as much as it holds.
DISK_BYTES: Final = 8 * 2**30
# The digest of the project export that the machine has.
SENT: Final = "sent"
OVERLAY: Final = layout.GUEST / "vm"
KEYS: Final = Path("etc/ssh/host-channel.keys")


def key(root: Path) -> str:
    """A name for the image that `make` creates from this base."""
    own = [path for path in sorted(OVERLAY.rglob("*")) if path.is_file()]
    return f"{root.name} {layout.digest([Path(__file__).read_bytes(), *(path.read_bytes() for path in own)])}"


def make(place: Place, root: Path, store: Path | None) -> None:
    """Make the image of the guest's root from a base, with a store: sending it over the channel takes a minute."""
    say("making the image of the virtual machine")
    tree = place.directory / "tree"
    base.copy(root, tree)
    complete(tree, kernel.ensure(), new_key(place))
    if store:
        # Nix requires /proc.
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
    """Add what a root needs on a machine of its own: modules, the channel, a name, a directory for the project."""
    run(["cp", "-a", its_kernel / "modules", tree / "usr/lib/"])
    for modules in (its_kernel / "modules").iterdir():
        run(["chroot", tree, "depmod", modules.name])
    run(["cp", "-R", f"{OVERLAY}/.", tree])
    shutil.copy(public, tree / KEYS)
    (tree / "etc/hostname").write_text("machine\n")
    for folder in ("var/lib/pi-agent-project", layout.GUEST_PROJECT.relative_to("/")):
        (tree / folder).mkdir(parents=True, exist_ok=True)
