"""Where things are: the checkout, the cache, and this checkout's own machine in it."""

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
# The project inside the guest: an export of the checkout, read-only.
GUEST_PROJECT: Final = Path("/opt/pi-agent")
# Which root a place has; without this mark it is made anew.
ROOT_MARK: Final = "base"
DIGEST_LENGTH: Final = 16


def cache() -> Path:
    """The folder that everything built is kept in; safe to delete while no machine is up."""
    chosen = os.environ.get("PI_AGENT_CHECKS_CACHE")
    if chosen:
        return Path(chosen).resolve()
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "pi-agent-checks"


def digest(parts: Iterable[bytes]) -> str:
    """A short name for some inputs. Each part is hashed with its length, so that no two lists read alike."""
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
        """Names the machine, its cgroup and its lock on this host."""
        return f"pi-agent-checks-{self.directory.name.partition('-')[2]}"

    @property
    def root(self) -> Path:
        """The guest's root file system: a directory, or the image of one."""
        return self.directory / "root"

    @property
    def project(self) -> Path:
        """The export of the project, as the guest has it."""
        return self.directory / "project"

    @property
    def console(self) -> Path:
        """What the guest's systemd printed at its last boot."""
        return self.directory / "console.log"

    @property
    def build_log(self) -> Path:
        """What building the system printed."""
        return self.directory / "build.log"

    def read(self, mark: str) -> str:
        """A mark left by `write`, or nothing."""
        path = self.directory / mark
        return path.read_text() if path.exists() else ""

    def write(self, mark: str, text: str) -> None:
        """Leave a mark, whole or not at all."""
        path = self.directory / mark
        draft = path.with_name(f"{mark}.new")
        draft.write_text(text)
        draft.rename(path)

    def forget(self, mark: str) -> None:
        """Remove a mark."""
        (self.directory / mark).unlink(missing_ok=True)


def this_checkout(kind: str) -> Place:
    """The machine of that kind, one word, of the checkout that this file is in."""
    return Place(cache() / f"{kind}-{digest([os.fsencode(CHECKOUT)])}")


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock named after `path`: two commands at once wait for each other."""
    # Only root may enter: homes in there would otherwise be open to this host's users of the same IDs.
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with open(path.with_name(f"{path.name}.lock"), "w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
