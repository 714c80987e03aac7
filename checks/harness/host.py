"""Installs what the host needs, with its own package manager."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from . import layout
from .run import CheckError, run, say

# What NixOS has: machines and host share root's number of queues of events, and each session needs one (inotify(7)).
_QUEUES: Final = Path("/proc/sys/fs/inotify/max_user_instances")
_QUEUES_AT_LEAST: Final = 524_288
# A command or file that every backend needs → the Debian and Ubuntu package that provides it.
COMMANDS: Final = {
    "mmdebstrap": "mmdebstrap",
    "git": "git",
    "npm": "npm",
    # Ubuntu's mmdebstrap does not depend on Debian's keys.
    "/usr/share/keyrings/debian-archive-keyring.gpg": "debian-archive-keyring",
}


def prepare(needs: Mapping[str, str]) -> None:
    """Check that the process is root, and install missing commands. Raises CheckError if that fails.

    needs: what the backend uses, in the form of `COMMANDS`.
    """
    if os.geteuid() != 0:
        raise CheckError("the test machine needs root", "run it with sudo, or as root")
    install(sorted({package for what, package in {**COMMANDS, **needs}.items() if not present(what)}))
    if int(_QUEUES.read_text(encoding="ascii")) < _QUEUES_AT_LEAST:
        _QUEUES.write_text(f"{_QUEUES_AT_LEAST}\n", encoding="ascii")


def present(what: str) -> bool:
    """Whether a command (a bare name) or a file (an absolute path) exists."""
    return Path(what).exists() if what.startswith("/") else shutil.which(what) is not None


def install(packages: Sequence[str]) -> None:
    """Install Debian packages. Does nothing for none."""
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
