"""The kernel of the virtual machine: Debian's cloud kernel and its modules, taken out of the package.

It is not installed. The same root serves containers, and on a virtual machine this kernel needs no initramfs: the
drivers of the disk (NVMe), of ext4 and of the channel to the host are built in.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

from . import artifact, layout
from .base import SUITE
from .run import run, say

PACKAGE: Final = "linux-image-cloud-amd64"


def ensure() -> Path:
    """Return the directory that holds `vmlinuz` and `modules`, made if it is not there."""
    return artifact.ensure("kernel", layout.digest([Path(__file__).read_bytes()]), build)


def build(target: Path, log: Path) -> None:
    """Extract the package and keep what a machine needs of it."""
    say("fetching the kernel of the virtual machine (once)")
    tree = target / "tree"
    target.mkdir(parents=True)
    run(["mmdebstrap", "--variant=extract", f"--include={PACKAGE}", SUITE, tree], log=log)
    [image] = (tree / "boot").glob("vmlinuz-*")
    image.rename(target / "vmlinuz")
    (tree / "usr/lib/modules").rename(target / "modules")
    shutil.rmtree(tree)
