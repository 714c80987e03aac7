"""What the host needs, installed from its own package manager when it is missing."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from . import layout
from .run import CheckError, run, say

# A command or file that must be there, whatever the machine runs on → the Debian and Ubuntu package that holds it.
COMMANDS: Final = {
    "mmdebstrap": "mmdebstrap",
    "git": "git",
    "npm": "npm",
    # Ubuntu's mmdebstrap does not pull in the keys of Debian.
    "/usr/share/keyrings/debian-archive-keyring.gpg": "debian-archive-keyring",
}


def prepare(needs: Mapping[str, str]) -> None:
    """Make sure of root and of every command used here; raises CheckError where that cannot be.

    needs: what the backend uses, as in `COMMANDS`.
    """
    if os.geteuid() != 0:
        raise CheckError("the test machine needs root", "run it with sudo, or as root")
    install(sorted({package for what, package in {**COMMANDS, **needs}.items() if not present(what)}))


def present(what: str) -> bool:
    """Whether a command (a bare name) or a file (an absolute path) is there."""
    return Path(what).exists() if what.startswith("/") else shutil.which(what) is not None


def install(packages: Sequence[str]) -> None:
    """Install Debian packages; none means nothing to do."""
    if not packages:
        return
    if not present("apt-get"):
        raise CheckError(
            f"these are missing and there is no apt-get: {' '.join(packages)}",
            "install them with your package manager",
        )
    say(f"installing on this host: {' '.join(packages)}")
    log = layout.cache() / "host.log"
    with layout.locked(log):
        for words in (["update"], ["install", "-y", "--no-install-recommends", *packages]):
            run(["apt-get", *words], env={"DEBIAN_FRONTEND": "noninteractive"}, log=log)
