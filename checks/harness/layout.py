"""Paths of the checkout, the cache, and this checkout's machine in the cache."""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

CHECKOUT: Final = Path(__file__).resolve().parents[2]
GUEST: Final = CHECKOUT / "checks" / "guest"
# The project inside the guest: a read-only export of the checkout.
GUEST_PROJECT: Final = Path("/opt/pi-agent")
# Which root a place has. Without this mark, the root is made anew.
ROOT_MARK: Final = "base"
DIGEST_LENGTH: Final = 16


def cache() -> Path:
    """The directory of everything that is built. It may be deleted while no machine is up."""
    chosen = os.environ.get("PI_AGENT_CHECKS_CACHE")
    if chosen:
        return Path(chosen).resolve()
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "pi-agent-checks"


def digest(parts: Iterable[bytes]) -> str:
    """A short name for a set of inputs. Each part is hashed with its length, so that no two lists collide."""
    total = hashlib.sha256()
    for part in parts:
        total.update(len(part).to_bytes(8, "big"))
        total.update(part)
    return total.hexdigest()[:DIGEST_LENGTH]


@dataclass(frozen=True, slots=True)
class Place:
    """The files of one checkout's machine."""

    directory: Path

    @property
    def name(self) -> str:
        """The name of the machine, its cgroup and its lock on this host."""
        return f"pi-agent-checks-{self.directory.name.partition('-')[2]}"

    @property
    def root(self) -> Path:
        """The guest's root file system: a directory or an image."""
        return self.directory / "root"

    @property
    def project(self) -> Path:
        """The export of the project, as the guest sees it."""
        return self.directory / "project"

    @property
    def console(self) -> Path:
        """The output of the guest's systemd at its last boot."""
        return self.directory / "console.log"

    @property
    def build_log(self) -> Path:
        """The output of building the system."""
        return self.directory / "build.log"

    def read(self, mark: str) -> str:
        """The content of a mark; empty if there is none."""
        path = self.directory / mark
        return path.read_text() if path.exists() else ""

    def write(self, mark: str, text: str) -> None:
        """Write a mark, completely or not at all."""
        path = self.directory / mark
        draft = path.with_name(f"{mark}.new")
        draft.write_text(text)
        draft.rename(path)

    def forget(self, mark: str) -> None:
        """Remove a mark."""
        (self.directory / mark).unlink(missing_ok=True)


def this_checkout(kind: str) -> Place:
    """The machine of that kind, a single word, for the checkout that holds this file."""
    return Place(cache() / f"{kind}-{digest([os.fsencode(CHECKOUT)])}")


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock named after `path`, so that concurrent commands wait for each other."""
    # Only root may enter: otherwise users of this host could read homes of the same ids in there.
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with open(path.with_name(f"{path.name}.lock"), "w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
