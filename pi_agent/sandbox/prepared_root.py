"""The read-only system tree that every session has as its root: mounted once for each system, and shared.

Runs as root, as m3ta-pi-agent-root.service: at boot, and when the system changes; where the tree is missing, a launch
starts that service. To mount it for each session would cost each launch a dozen mounts. It is named after the system,
so that a switch makes a new one: /etc may be another mount afterwards. Running sessions keep the tree that they started
with, since each has a copy in a mount namespace of its own.

Nothing in it belongs to a session or depends on the policy. But where a project lies below a directory that is missing
here, that directory is made on demand, and stays, empty: `/srv`, where a project lies in /srv (mount_points.py).
"""

from __future__ import annotations

import fcntl
import os

from pi_agent.linux import mount_api
from pi_agent.python.records import record
from pi_agent.python.standard import suppress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

PLACE: Final = "/run/pi-agent-root"
SYSTEM: Final = "/run/current-system"
SERVICE: Final = "m3ta-pi-agent-root.service"
# What is mounted over a hidden path.
EMPTY_DIRECTORY: Final = "/var/hidden/directory"
EMPTY_FILE: Final = "/var/hidden/file"
# Programs and data of the system. Those that exist are shown read-only; a link is shown as a link.
_SHOWN: Final = (
    "/nix/store",
    "/etc",
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib64",
    "/nix/var/nix/profiles",
)
# Where systemd or a session mounts something of its own.
_EMPTY: Final = ("dev", "home", "proc", "root", "run", "sys", "tmp", "var/lib", "var/tmp")
_ATTRIBUTES: Final = mount_api.RDONLY | mount_api.NOSUID | mount_api.NODEV


@record
class Content:
    """What of the host the tree shows. directories: at their own paths. links: (path, target)."""

    directories: tuple[str, ...]
    links: tuple[tuple[str, str], ...]


def content() -> Content:
    """What of the host the tree shows, as far as this machine has it. All of it belongs to root."""
    links = tuple((path, os.readlink(path)) for path in _SHOWN if os.path.islink(path))
    linked = {path for path, _ in links}
    directories = tuple(path for path in _SHOWN if path not in linked and os.path.isdir(path))
    return Content(directories, (*links, ("/var/run", "/run")))


@record
class Root:
    """The tree of one system. path: where it is, or would be. system: what /run/current-system leads to, if it exists.

    The link itself is made for each session, because systemd mounts another /run.
    """

    path: str
    system: str | None

    @property
    def mark(self) -> str:
        """The file that exists if the tree is whole: beside it, since names inside may be a session's."""
        return f"{self.path}.mounted"

    @property
    def is_mounted(self) -> bool:
        """Whether the tree is there, whole."""
        return os.path.exists(self.mark) and _is_mount_point(self.path)


def _is_mount_point(path: str) -> bool:
    return os.path.ismount(path)


def look() -> Root:
    """The tree of the running system."""
    try:
        system = os.readlink(SYSTEM)
    except OSError:  # not NixOS
        return Root(f"{PLACE}/system", None)
    return Root(f"{PLACE}/{os.path.basename(system)}", system)


def prepare() -> None:
    """Mount the tree of the running system unless it is there, and unmount those of earlier systems.

    Raises OSError.
    """
    with suppress(FileExistsError):
        os.mkdir(PLACE, 0o700)
    lock = os.open(PLACE, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        root = look()
        if not root.is_mounted:
            for name in os.listdir(PLACE):
                _unmount(f"{PLACE}/{name}")
            _mount(root, content())
    finally:
        os.close(lock)


def _unmount(name: str) -> None:
    """Unmount a tree of an earlier system, or remove its mark."""
    mount_api.detach(name)
    if not os.path.isdir(name):
        os.unlink(name)
        return
    # A unit that was started after somebody had unmounted the tree has left mount points there.
    with suppress(OSError):
        os.rmdir(name)


def _mount(root: Root, shown: Content) -> None:
    with suppress(FileExistsError):
        os.mkdir(root.path, 0o755)
    tree = mount_api.new("tmpfs", {"mode": "0755", "size": "1m"}, mount_api.NOSUID | mount_api.NODEV)
    try:
        _attach(tree, root.path)
        _fill(root.path, shown)
    finally:
        os.close(tree)
    os.close(os.open(root.mark, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))


def _fill(root: str, shown: Content) -> None:
    for name in _EMPTY:
        os.makedirs(f"{root}/{name}", 0o755)
    os.makedirs(root + EMPTY_DIRECTORY, 0o755)
    os.close(os.open(root + EMPTY_FILE, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o444))
    for place, target in shown.links:
        os.makedirs(os.path.dirname(root + place), 0o755, exist_ok=True)
        os.symlink(target, root + place)
    for place in shown.directories:
        os.makedirs(root + place, 0o755)
        source = os.open(place, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        tree = mount_api.clone(source, recursive=True)
        try:
            mount_api.set_attributes(tree, _ATTRIBUTES, recursive=True)
            _attach(tree, root + place)
        finally:
            os.close(tree)
            os.close(source)


def _attach(tree: int, place: str) -> None:
    over = os.open(place, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        mount_api.attach(tree, over)
        # What is mounted on the host later must not appear here, nor the other way round.
        mount_api.set_attributes(tree, 0)
    finally:
        os.close(over)


if __name__ == "__main__":
    prepare()
