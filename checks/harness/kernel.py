"""The kernel of the virtual machine: Debian's cloud kernel and its modules, extracted from the package.

It is not installed, because containers use the same root. A virtual machine boots it without an initramfs: the drivers
for the disk (NVMe), ext4 and the channel to the host are built in.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

from . import artifact, layout
from .base import ANY_AGE, SUITE
from .run import run, say

PACKAGE: Final = "linux-image-cloud-amd64"


def ensure() -> Path:
    """Return the directory that holds `vmlinuz` and `modules`. Build it if it is missing."""
    return artifact.ensure("kernel", layout.digest([SUITE.encode(), Path(__file__).read_bytes()]), build)


def build(target: Path, log: Path) -> None:
    """Extract the package, and keep what a machine needs."""
    say("fetching the kernel of the virtual machine (once)")
    tree = target / "tree"
    target.mkdir(parents=True)
    run(["mmdebstrap", "--variant=extract", ANY_AGE, f"--include={PACKAGE}", SUITE, tree], log=log)
    [image] = (tree / "boot").glob("vmlinuz-*")
    image.rename(target / "vmlinuz")
    (tree / "usr/lib/modules").rename(target / "modules")
    shutil.rmtree(tree)
