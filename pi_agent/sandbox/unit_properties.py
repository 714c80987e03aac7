"""The sandbox as systemd unit properties: everything a session may see and do. A pure function of its facts.

The session's root directory is the prepared one (prepared_root.py), which shows the system alone. What the session sees
besides is attached before anything of the agent runs (attachment.py). Nothing else of the host has to be hidden,
because it is not there.

References: systemd.exec(5), systemd.resource-control(5). The names of the properties are those that systemd-run(1) of
version 257 takes; it spells the values that are not booleans as `PrivateUsersEx` and `PrivateTmpEx`.
"""

from __future__ import annotations

from pi_agent.linux import limits
from pi_agent.linux.identities import Identity
from pi_agent.policy.policy_file import Policy
from pi_agent.sandbox.system_directories import COMPILE_CACHE, System

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

_HARDENING: Final = (
    "NoNewPrivileges=yes",
    "CapabilityBoundingSet=",
    "AmbientCapabilities=",
    # /home and /root: empty except for the project root.
    "ProtectHome=tmpfs",
    "ProtectSystem=strict",
    "PrivateTmpEx=disconnected",
    "PrivateDevices=yes",
    "DevicePolicy=closed",
    # Owners keep their ids, and a capability that the agent might gain there does not reach the host's namespace.
    "PrivateUsersEx=identity",
    # The sessions of a host user share one uid: without this, one could signal and inspect the processes of another.
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
    # AF_NETLINK: for getifaddrs(3). Without it, Node and glibc cannot list interfaces.
    "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK",
    "LockPersonality=yes",
    # A core dump holds the environment.
    f"LimitCORE={limits.NO_CORE}",
    "SystemCallArchitectures=native",
    "SystemCallFilter=@system-service",
    "SystemCallFilter=~@privileged @resources",
    # No system call filter sees what io_uring does: it can make a setuid file, or a socket of any family.
    "SystemCallFilter=~io_uring_setup io_uring_enter io_uring_register",
    # The machine limits asynchronous input and output of this kind as a whole, and keys for each user: a session could
    # take all. systemd starts a session without a keyring of its own if its user has no keys left.
    "SystemCallFilter=~io_setup @keyring",
    # setpriv(1), which loads our own filter, sets the capabilities that it has: none. This call cannot add any.
    "SystemCallFilter=capset",
    # setpriv(1) sets up Landlock too. These can only take rights away.
    "SystemCallFilter=landlock_create_ruleset landlock_add_rule landlock_restrict_self",
    # Refused, not killed, as the kernel refuses an ordinary user's chown: tar, cp -a and sed -i handle that.
    "SystemCallErrorNumber=EPERM",
    "KeyringMode=private",
    "RemoveIPC=yes",
    "BindLogSockets=no",
    # sudo's default umask: others may read what the agent creates in a project, as if the user had created it.
    "UMask=0022",
    "WorkingDirectory=/",
    "IgnoreSIGPIPE=no",
    # SIGTERM goes only to Pi, which then saves. What is left after the time-out is killed.
    "KillMode=mixed",
    "TimeoutStopSec=4s",
)


def properties(policy: Policy, agent: Identity, system: System) -> list[str]:
    """The unit's properties as `NAME=VALUE`, in the order in which systemd must apply them. A pure function.

    system: what of the host's system to show besides the prepared root.
    """
    found = [f"User={agent.uid}", f"Group={agent.gid}", "MountAPIVFS=yes", *_HARDENING]
    if policy.project_group is not None:
        found.append(f"SupplementaryGroups={policy.project_group}")
    if system.paths:
        found.append("BindReadOnlyPaths=" + " ".join(f'"{path}"' for path in system.paths))
    if system.compile_cache is not None:
        # The service that makes it may be replacing it just now: a session can do without.
        found.append(f'BindReadOnlyPaths="-{system.compile_cache}":"{COMPILE_CACHE}"')
    if policy.sandbox.network == "none":
        found.append("PrivateNetwork=yes")
    found += [f"IPAddressDeny={address}" for address in policy.sandbox.deny_addresses]
    found += [f"IPAddressAllow={address}" for address in policy.sandbox.allow_addresses]
    # The administrator's properties come last and win, as far as the module allows them.
    found += policy.sandbox.properties
    return found
