"""The reference of a launch that does not change: what a person would write by hand to get such a sandbox.

It is `sudo systemd-run` with the properties and the mounts that a session had at commit 5f436db, as a fixed list. The
unit of today may have another layout; a better one shows in the ratio to this one.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from support.commands import as_user, on_machine
from support.installed import demo, owner, policy, state

from benchmark.hyperfine import CommandError
from benchmark.prepared import VARIANT, Desk
from benchmark.reference import Reference

_STAGING: Final = Path("/run/pi-agent-bench")
_ROOT: Final = _STAGING / "root"
_ENVIRONMENT: Final = _STAGING / "environment"
_PROJECT, _STATE, _TERMINALS = (_STAGING / name for name in ("project", "state", "terminals"))
# Parts of the project's mount: mounted over themselves, so that nobody can replace them; some of them read-only.
_PINNED: Final = (".git",)
_PROTECTED: Final = (".git/config", ".git/hooks")

_OPTIONS: Final = (
    "--quiet",
    "--wait",
    "--expand-environment=no",
    "--service-type=exec",
    "--slice=pi-agent.slice",
    "--description=Pi coding agent",
)
_PROPERTIES: Final = (
    "MountAPIVFS=yes",
    "NoNewPrivileges=yes",
    "CapabilityBoundingSet=",
    "AmbientCapabilities=",
    "ProtectHome=tmpfs",
    "ProtectSystem=strict",
    "PrivateTmpEx=disconnected",
    "PrivateDevices=yes",
    "DevicePolicy=closed",
    "PrivateUsersEx=identity",
    "PrivatePIDs=yes",
    "PrivateIPC=yes",
    "TemporaryFileSystem=/dev/shm:mode=1777,nosuid,nodev",
    "ProtectProc=invisible",
    "ProtectKernelTunables=yes",
    "ProtectKernelModules=yes",
    "ProtectKernelLogs=yes",
    "ProtectControlGroups=yes",
    "ProtectClock=yes",
    "ProtectHostname=yes",
    "RestrictNamespaces=yes",
    "RestrictSUIDSGID=yes",
    "RestrictRealtime=yes",
    "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK",
    "LockPersonality=yes",
    "SystemCallArchitectures=native",
    "SystemCallFilter=@system-service",
    "SystemCallFilter=~@privileged @resources",
    "SystemCallFilter=~io_uring_setup io_uring_enter io_uring_register",
    "SystemCallFilter=capset",
    "SystemCallErrorNumber=EPERM",
    "KeyringMode=private",
    "RemoveIPC=yes",
    "BindLogSockets=no",
    "UMask=0022",
    "WorkingDirectory=/",
    "IgnoreSIGPIPE=no",
    "KillMode=mixed",
    "TimeoutStopSec=4s",
    "IPAddressDeny=169.254.0.0/16",
    "IPAddressDeny=fe80::/10",
    "IPAddressDeny=fd00:ec2::254/128",
    "IPAddressDeny=fd00:ec2::23/128",
    "IPAddressDeny=fd20:ce::254/128",
    "IPAddressDeny=fd00:c1::a9fe:a9fe/128",
    "IPAddressDeny=192.0.0.192/32",
    "IPAddressDeny=100.100.100.200/32",
    "IPAddressDeny=fd00:100::100:200/128",
    "IPAddressDeny=168.63.129.16/32",
    "IPAddressDeny=fd00:42::42/128",
    "IPAddressDeny=fd00:a9fe:a9fe::1/128",
    "MemoryMax=75%",
    "MemorySwapMax=1G",
    "TasksMax=4096",
    "CPUWeight=100",
    "OOMPolicy=kill",
)
_LINKS: Final = ("/bin", "/sbin", "/lib", "/lib64")
_SYSTEM: Final = (
    "/nix/store",
    "/etc",
    "/usr",
    *_LINKS,
    "/run/current-system",
    "/nix/var/nix/profiles",
    "/nix/var/nix/daemon-socket",
    "/run/nscd",
    "/run/systemd/resolve",
)
_MAPPED_IDS: Final = 2**32 - 1
# Inside the project is the agent's own, what is protected cannot be written, and there is no other home.
_LOOK: Final = 'set -e; stat -c %u "$1/README"; [ -w "$1/README" ]; [ ! -w "$1/.git/config" ]; ls -A /home'


@contextmanager
def by_hand(desk: Desk) -> Iterator[Reference]:
    """The reference, with its mounts in place until exit."""
    known, project = policy(VARIANT), demo(desk.user)
    as_user(desk.user, VARIANT).ok()  # which makes the state tree
    clear()
    try:
        _stage(desk.user, project)
        binds = f"BindPaths={_STATE}:{known['stateDir']} {_TERMINALS}:/dev/pts {_PROJECT}:{project}"
        properties = (*_identity(), *_PROPERTIES, f"BindReadOnlyPaths={' '.join(shown())}", binds)
        options = (*_OPTIONS, *(f"--property={each}" for each in properties))
        made = Reference(Path(known["tools"]["systemd-run"]), options, known["program"])
        seen = made.seen(_LOOK, str(project))
        if seen != [str(owner(VARIANT).pw_uid), desk.user]:
            raise CommandError(made.launch(), f"the reference shows {seen}")
        yield made
    finally:
        clear()


def clear() -> None:
    """Remove what a reference needs, also after one that was killed."""
    for mounted in (_PROJECT, _STATE, _TERMINALS):
        if mounted.exists():
            on_machine("umount", "--recursive", "--lazy", mounted)
            # Not by `shutil.rmtree`: what is still mounted there belongs to somebody.
            mounted.rmdir()
    shutil.rmtree(_ROOT, ignore_errors=True)
    _ENVIRONMENT.unlink(missing_ok=True)
    with suppress(FileNotFoundError):
        _STAGING.rmdir()


def bubblewrap(project: Path, program: str) -> list[str]:
    """The command that gives a program a similar view with bwrap(1).

    It shows the same of the system, read-only, and the project root, in namespaces for everything except the network.
    """
    words = ["bwrap", "--unshare-all", "--share-net", "--die-with-parent", "--new-session"]
    words += ["--dev", "/dev", "--tmpfs", "/tmp", "--tmpfs", "/home", "--ro-bind", "/proc", "/proc"]  # noqa: S108 -- inside
    for path, target in _links():
        words += ["--symlink", target, path]
    for path in shown():
        words += ["--ro-bind", path, path]
    return [*words, "--bind", str(project), str(project), "--chdir", str(project), "--", program]


def shown() -> list[str]:
    """What of the system is shown: the directories that this machine has."""
    links = {path for path, _ in _links()}
    return [path for path in _SYSTEM if path not in links and os.path.exists(path)]


def _links() -> list[tuple[str, str]]:
    return [(path, os.readlink(path)) for path in _LINKS if os.path.islink(path)]


def _identity() -> tuple[str, ...]:
    agent = owner(VARIANT)
    return (
        f"RootDirectory={_ROOT}",
        f"EnvironmentFile={_ENVIRONMENT}",
        f"User={agent.pw_uid}",
        f"Group={agent.pw_gid}",
    )


def _stage(user: str, project: Path) -> None:
    """Make the mounts. All agents of a machine were one user then, so only the project has its owners mapped."""
    for directory in (_STAGING, _ROOT, _PROJECT, _STATE, _TERMINALS):
        directory.mkdir(mode=0o700 if directory == _STAGING else 0o755)
    for path, target in [*_links(), ("/var/run", "/run")]:
        where = Path(f"{_ROOT}{path}")
        where.parent.mkdir(exist_ok=True)
        where.symlink_to(target)
    _ENVIRONMENT.write_text(f"HOME={policy(VARIANT)['stateDir']}\nPATH=/usr/bin:/bin\nLANG=C.UTF-8\n", encoding="utf-8")
    theirs, agent = project.stat(), owner(VARIANT)
    swapped = f"{_swap('u', theirs.st_uid, agent.pw_uid)} {_swap('g', theirs.st_gid, agent.pw_gid)}"
    _mount("--bind", "-o", f"nosuid,nodev,X-mount.idmap={swapped}", project, _PROJECT)
    _mount("--bind", "-o", "nosuid,nodev", state(user, VARIANT), _STATE)
    _mount("-t", "devpts", "-o", "nosuid,noexec,mode=0620,ptmxmode=0666,gid=5", "devpts", _TERMINALS)
    for name in (*_PINNED, *_PROTECTED):
        how = "nosuid,nodev,ro" if name in _PROTECTED else "nosuid,nodev"
        _mount("--bind", "-o", how, _PROJECT / name, _PROJECT / name)


def _mount(*words: str | Path) -> None:
    on_machine("mount", "--make-private", *words).ok()


def _swap(kind: str, left: int, right: int) -> str:
    """The map for mount(8) that exchanges two ids and keeps every other one. kind: `u` or `g`."""
    low, high = sorted((left, right))
    extents = [
        (0, 0, low),
        (low, high, 1),
        (low + 1, low + 1, high - low - 1),
        (high, low, 1),
        (high + 1, high + 1, _MAPPED_IDS - high - 1),
    ]
    return " ".join(f"{kind}:{inside}:{outside}:{count}" for inside, outside, count in extents if count > 0)
