"""Stand-ins for the programs that pi-agent starts, small scripts that log their calls; and for the kernel's mounts."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from pi_agent.linux import mount_api, mount_namespaces, paths
from pi_agent.policy.policy_file import Tools
from pi_agent.sandbox import mount_points, prepared_root
from pi_agent.session import control_group, supervision
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
try:
    gate.connect("gate")
except OSError:  # it is closed already
    sys.exit(1)
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

    refuses: the functions that fail from now on; "idmap" is set_attributes with a user namespace, "enter" enters a
    mount namespace. error: how they fail.
    """

    def __init__(self, log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.log = log
        self.refuses: set[str] = set()
        self.error = errno.EINVAL
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

    def clone(self, descriptor: int, *, recursive: bool = False) -> int:
        """A descriptor of the same object."""
        self._called("clone", paths.real_path(descriptor) + (" and below" if recursive else ""))
        return os.dup(descriptor)

    def set_attributes(
        self, tree: int, attributes: int, user_namespace: int | None = None, *, recursive: bool = False
    ) -> None:
        """Only log the call."""
        name = "set_attributes" if user_namespace is None else "idmap"
        self._called(name, f"{paths.real_path(tree)} {attributes}{' and below' if recursive else ''}")

    def new(self, kind: str, options: Mapping[str, str], attributes: int) -> int:
        """A meaningless descriptor."""
        self._called("new", f"{kind} {','.join(f'{k}={v}' for k, v in sorted(options.items()))} {attributes}")
        return os.open("/dev/null", os.O_PATH)

    def detach(self, path: str) -> None:
        """Only log the call."""
        self._called("detach", path)

    def attach(self, tree: int, target: int) -> None:
        """Only log the call."""
        self._called("attach", f"{paths.real_path(tree)} at {paths.real_path(target)}")

    def user_namespace(self, uid_map: str, gid_map: str) -> int:
        """A meaningless descriptor."""
        self._called("user_namespace", f"{uid_map}/{gid_map}".replace("\n", ";"))
        return os.open("/dev/null", os.O_PATH)

    def enter(self, process: int) -> None:
        """Only log that a mount namespace is entered."""
        os.fstat(process)
        self._called("enter", "")

    def _called(self, name: str, said: str) -> None:
        with open(self.log, "a", encoding="utf-8") as log:
            log.write(f"{name} {said}\n")
        if name in self.refuses:
            raise OSError(self.error, os.strerror(self.error))


class Namespace:
    """Replaces a unit's mount namespace: a directory in which mount points are made, and the prepared root in it."""

    def __init__(self, top: Path, kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root = top / "namespace"
        self._kernel = kernel
        self._place = str(top / "prepared")
        for name, path in _IN_THE_ROOT.items():
            monkeypatch.setattr(prepared_root, name, f"{self.root}{path}")
        monkeypatch.setattr(prepared_root, "PLACE", self._place)
        monkeypatch.setattr(prepared_root, "_is_mount_point", os.path.isdir)
        monkeypatch.setattr(mount_namespaces, "entered", self._entered)
        monkeypatch.setattr(mount_points.MountPoints, "at", lambda points, path, **kind: self._at(points, path, **kind))
        Path(f"{self.root}{_IN_THE_ROOT['EMPTY_DIRECTORY']}").mkdir(parents=True)
        Path(f"{self.root}{_IN_THE_ROOT['EMPTY_FILE']}").touch()
        self.prepare()

    def prepare(self) -> None:
        """Have the prepared root of this machine mounted."""
        root = prepared_root.look()
        os.makedirs(root.path, 0o755, exist_ok=True)
        Path(root.mark).touch()

    def attached(self) -> dict[str, str]:
        """What would be attached at mount points of the session, by path."""
        place = f"{self.root}/"
        found = self._kernel.attached()
        return {f"/{target.removeprefix(place)}": found[target] for target in found if target.startswith(place)}

    @contextmanager
    def _entered(self, process: int) -> Iterator[None]:
        self._kernel.enter(process)
        before = os.getcwd()
        os.chdir("/proc/self/fd")
        try:
            yield
        finally:
            os.chdir(before)

    def _at(self, points: mount_points.MountPoints, path: str, *, directory: bool) -> int:
        place = Path(f"{self.root}{path}")
        place.parent.mkdir(parents=True, exist_ok=True)
        if directory:
            place.mkdir(exist_ok=True)
        else:
            place.touch()
        return points._held.hold(os.open(place, os.O_PATH | os.O_CLOEXEC))


_IN_THE_ROOT: Final = {
    "EMPTY_DIRECTORY": "/var/hidden/directory",
    "EMPTY_FILE": "/var/hidden/file",
    "SYSTEM": "/run/current-system",
}


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
    monkeypatch.setattr(control_group, "process_of", lambda unit: (os.getpid(), os.pidfd_open(os.getpid())))
    monkeypatch.setattr(control_group, "is_gone", lambda unit: True)
    return limited
