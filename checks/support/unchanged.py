"""Everything that a launch could change on the machine, to compare before and after."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from support.installed import SECRETS, SHARED, STAGING, home, memory, policy


def everything(command: str = "pi-probe") -> dict[str, tuple[object, ...]]:
    """Names, kinds, owners, times and contents of everything that a launch of command may touch, and the mounts."""
    state = Path(policy(command)["stateDir"])
    tops = [state, memory("alice", command).parent, STAGING, home("alice"), SECRETS, SHARED]
    tops.append(Path("/run/systemd/transient"))
    found: dict[str, tuple[object, ...]] = {}
    for top in tops:
        for path in [top, *top.rglob("*")]:
            at = path.lstat()
            numbers = (at.st_ino, at.st_mode, at.st_uid, at.st_gid, at.st_size, at.st_mtime_ns, at.st_ctime_ns)
            found[str(path)] = (*numbers, _content(path, at))
    found["mounts"] = tuple(Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines())
    return found


def _content(path: Path, at: os.stat_result) -> str | bytes | None:
    if stat.S_ISLNK(at.st_mode):
        return os.readlink(path)
    return path.read_bytes() if stat.S_ISREG(at.st_mode) else None
