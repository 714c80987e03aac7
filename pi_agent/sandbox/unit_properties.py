"""The sandbox: everything a session may see and do, as systemd unit properties. A pure function of its facts.

The session's root directory is an empty directory of ours. What is inside is listed here and nowhere else: system
directories read-only, the project root and the state tree read-write. Nothing of the host is hidden, because nothing
of it is there.

References: systemd.exec(5), systemd.resource-control(5). The names of the properties are those that systemd-run(1)
of version 257 takes; `PrivateUsersEx` and `PrivateTmpEx` are how it spells the values that are no booleans.
"""

from __future__ import annotations

from collections.abc import Sequence

from pi_agent.linux.identities import Identity
from pi_agent.policy.policy_file import Policy
from pi_agent.sandbox.mounts import Bind
from pi_agent.sandbox.system_directories import System

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

_HARDENING: Final = (
    "NoNewPrivileges=yes",
    "CapabilityBoundingSet=",
    "AmbientCapabilities=",
    # /home and /root: empty but for the project root.
    "ProtectHome=tmpfs",
    "ProtectSystem=strict",
    "PrivateTmpEx=disconnected",
    "PrivateDevices=yes",
    "DevicePolicy=closed",
    # Owners keep their numbers, and no capability the agent might win there reaches the host's namespace.
    "PrivateUsersEx=identity",
    # All agents share one uid: without this, one session could signal and inspect the processes of another.
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
    # AF_NETLINK: getifaddrs(3), without which Node and glibc cannot list interfaces.
    "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK",
    "LockPersonality=yes",
    "SystemCallArchitectures=native",
    "SystemCallFilter=@system-service",
    "SystemCallFilter=~@privileged @resources",
    # What io_uring does is seen by no system call filter: it can make a setuid file, or a socket of any family.
    "SystemCallFilter=~io_uring_setup io_uring_enter io_uring_register",
    # setpriv(1), which loads our own filter, sets the capabilities that it has: none. There are none to win by it.
    "SystemCallFilter=capset",
    # Not killed but refused, as the kernel refuses an ordinary user's chown: tar, cp -a and sed -i take that well.
    "SystemCallErrorNumber=EPERM",
    "KeyringMode=private",
    "RemoveIPC=yes",
    "BindLogSockets=no",
    # As sudo's default umask: what the agent creates in a project others may read, as when the user creates it.
    "UMask=0022",
    "WorkingDirectory=/",
    "IgnoreSIGPIPE=no",
    # SIGTERM goes to Pi alone, which then saves; what is left after the time-out is killed.
    "KillMode=mixed",
    "TimeoutStopSec=4s",
)


def properties(policy: Policy, agent: Identity, system: System, binds: Sequence[Bind]) -> list[str]:
    """The unit's properties as `NAME=VALUE`, in the order in which systemd has to apply them. A pure function."""
    found = [f"User={agent.uid}", f"Group={agent.gid}", "MountAPIVFS=yes", *_HARDENING]
    if policy.project_group is not None:
        found.append(f"SupplementaryGroups={policy.project_group}")
    found.append("BindReadOnlyPaths=" + " ".join(quoted(path) for path in system.binds))
    for bind in binds:
        name = "BindPaths" if bind.writable else "BindReadOnlyPaths"
        found.append(f"{name}={quoted(bind.source)}:{quoted(bind.target)}")
    if policy.sandbox.network == "none":
        found.append("PrivateNetwork=yes")
    found += [f"IPAddressDeny={address}" for address in policy.sandbox.deny_addresses]
    found += [f"IPAddressAllow={address}" for address in policy.sandbox.allow_addresses]
    # The administrator's come last and win, as far as the module lets them pass.
    found += policy.sandbox.properties
    return found


def quoted(path: str) -> str:
    """path as one word of BindPaths=. project_roots.py has refused quotes, backslashes and control characters."""
    return f'"{path}"'
