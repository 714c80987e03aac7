"""Stand-ins for the programs that pi-agent starts, small scripts that log their calls; and for the kernel's mounts."""

from __future__ import annotations

import errno
import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest

from pi_agent.linux import mount_api, paths
from pi_agent.policy.policy_file import Tools
from pi_agent.session import supervision
from tests.support import policies
from tests.support.policies import frozen

_MOUNTS: Final = ("clone", "set_attributes", "new", "detach", "attach", "user_namespace")
# Units end as soon as they are asked to.
_BODIES: Final = {"systemctl": '[ "$1" != is-active ] || exit 3'}


def waits(directory: str) -> str:
    """The shell line with which launch.bash, in a stand-in for systemd-run, waits to be let in."""
    return f'"{sys.executable}" -I -S -c \'{_WAITS}\' "{directory}"'


_WAITS: Final = """
import os, socket, sys
os.chdir(sys.argv[1])
gate = socket.socket(socket.AF_UNIX)
gate.connect("gate")
open("report", "w").write("ready\\n")
sys.exit(gate.recv(9) != b"go\\n")
"""


class Bin:
    """A directory of such scripts, and the log that they write."""

    def __init__(self, top: Path) -> None:
        self.top = top
        self.log = top / "calls.log"
        top.mkdir(parents=True, exist_ok=True)

    def script(self, name: str, body: str = "") -> str:
        """Make a program that logs its arguments, one line per call, and then runs body (POSIX shell)."""
        path = self.top / name
        path.write_text(f'#!/bin/sh\nprintf "%s\\n" "{name} $*" >> "{self.log}"\n{body}\n')
        path.chmod(0o755)
        return str(path)

    def calls(self, name: str = "") -> list[str]:
        """The calls so far, of one program or of all."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return [line for line in lines if line.startswith(name)]

    def tools(self, **bodies: str) -> Tools:
        """The policy's tools as such scripts. bodies: by attribute name."""
        paths = {
            name: self.script(name.replace("-", "_"), {**_BODIES, **bodies}.get(name.replace("-", "_"), ""))
            for name in policies.tools()
        }
        return frozen(tools=paths).tools


class Kernel:
    """Replaces mount_api: mounts nothing, and logs what would be mounted, one line per call.

    refuses: the functions that fail from now on; "idmap" is set_attributes with a user namespace. error: how they fail.
    shows: whether a mount shows its source, as a copy.
    """

    def __init__(self, log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.log = log
        self.refuses: set[str] = set()
        self.error = errno.EINVAL
        self.shows = False
        self._real = {name: getattr(mount_api, name) for name in _MOUNTS}
        for name in _MOUNTS:
            monkeypatch.setattr(mount_api, name, getattr(self, name))

    def give_way(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Use the real kernel from now on."""
        for name, real in self._real.items():
            monkeypatch.setattr(mount_api, name, real)

    def calls(self, name: str = "") -> list[str]:
        """The calls so far, of one function or of all."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return [line for line in lines if line.startswith(name)]

    def attached(self) -> dict[str, str]:
        """What would be mounted, by target path."""
        pairs = [call.removeprefix("attach ").split(" at ") for call in self.calls("attach ")]
        return {target: source for source, target in pairs}

    def clone(self, descriptor: int) -> int:
        """A descriptor of the same object."""
        self._called("clone", paths.real_path(descriptor))
        return os.dup(descriptor)

    def set_attributes(self, tree: int, attributes: int, user_namespace: int | None = None) -> None:
        """Only log the call."""
        name = "set_attributes" if user_namespace is None else "idmap"
        self._called(name, f"{paths.real_path(tree)} {attributes}")

    def new(self, kind: str, options: Mapping[str, str], attributes: int) -> int:
        """A meaningless descriptor."""
        self._called("new", f"{kind} {','.join(f'{k}={v}' for k, v in sorted(options.items()))} {attributes}")
        return os.open("/dev/null", os.O_PATH)

    def detach(self, path: str) -> None:
        """Remove what was shown."""
        self._called("detach", path)
        if self.shows and os.path.isdir(path):
            shutil.rmtree(path)
            os.mkdir(path)

    def attach(self, tree: int, target: int) -> None:
        """Show a copy of a whole directory."""
        source, place = paths.real_path(tree), paths.real_path(target)
        self._called("attach", f"{source} at {place}")
        if self.shows and source != place and os.path.isdir(source) and not os.listdir(place):
            shutil.copytree(source, place, symlinks=True, dirs_exist_ok=True)

    def user_namespace(self, uid_map: str, gid_map: str) -> int:
        """A meaningless descriptor."""
        self._called("user_namespace", f"{uid_map}/{gid_map}".replace("\n", ";"))
        return os.open("/dev/null", os.O_PATH)

    def _called(self, name: str, said: str) -> None:
        with open(self.log, "a", encoding="utf-8") as log:
            log.write(f"{name} {said}\n")
        if name in self.refuses:
            raise OSError(self.error, os.strerror(self.error))


def no_limits(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Replace the limits of sessions, which need a unit of systemd's. Returns the units that got them."""
    limited: list[str] = []

    class Limiter:
        def __init__(self, unit: str, rlimits: Mapping[int, int], others: int) -> None:
            assert others >= 0 and all(limit > 0 for limit in rlimits.values())
            self._unit = unit

        def __enter__(self) -> Limiter:
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def begin(self) -> None:
            pass

        def finish(self) -> None:
            limited.append(self._unit)

    monkeypatch.setattr(supervision, "Limiter", Limiter)
    return limited
