"""The hardening of a session, as its running unit reports it: each property that we set, and no others.

Other scenarios and checks/escapes show the effect of the properties from inside. What they do not show is tested here.
References: systemd.exec(5), systemctl(1), namespaces(7).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from support.commands import inside, on_machine
from support.installed import agent
from support.sessions import IDLE, session

# Setting in the unit file → its value in `systemctl show`. Words are sorted.
HARDENING: Final = {
    "AmbientCapabilities": "",
    "BindLogSockets": "no",
    "CapabilityBoundingSet": "",
    "DevicePolicy": "closed",
    "IgnoreSIGPIPE": "no",
    "KeyringMode": "private",
    "KillMode": "mixed",
    "LimitCORE": "1",  # the kernel's «no core dump», also where core_pattern is a pipe
    "LockPersonality": "yes",
    "MountAPIVFS": "yes",
    "NoNewPrivileges": "yes",
    "PrivateDevices": "yes",
    "PrivateIPC": "yes",
    "PrivatePIDs": "yes",
    "PrivateTmp": "disconnected",
    "PrivateUsers": "identity",
    "ProtectClock": "yes",
    "ProtectControlGroups": "yes",
    "ProtectHome": "tmpfs",
    "ProtectHostname": "yes",
    "ProtectKernelLogs": "yes",
    "ProtectKernelModules": "yes",
    "ProtectKernelTunables": "yes",
    "ProtectProc": "invisible",
    "ProtectSystem": "strict",
    "RemoveIPC": "yes",
    "RestrictAddressFamilies": "AF_INET AF_INET6 AF_NETLINK AF_UNIX",
    "RestrictNamespaces": "yes",
    "RestrictRealtime": "yes",
    "RestrictSUIDSGID": "yes",
    "SystemCallArchitectures": "native",
    "SystemCallErrorNumber": "1",  # EPERM
    "TemporaryFileSystem": "/dev/shm:mode=1777,nosuid,nodev",
    "TimeoutStopSec": "4s",
    "UMask": "0022",
    "WorkingDirectory": "/",
}
# Settings that `systemctl show` reports under another name, or under a second name with more detail.
REPORTED_AS: Final = {
    "PrivateTmp": "PrivateTmpEx",
    "PrivateUsers": "PrivateUsersEx",
    "TimeoutStopSec": "TimeoutStopUSec",
}
# The current defaults of a plain service. They are set anyway: systemd may change its defaults.
SAME_AS_PLAIN: Final = {"AmbientCapabilities", "BindLogSockets", "KeyringMode", "UMask"}
# What else the unit sets: user, program, files, addresses and resources. Other scenarios test these.
SESSION: Final = {
    "BindReadOnlyPaths",
    "CPUWeight",
    "CollectMode",
    "Description",
    "ExecStart",
    "Group",
    "IPAddressDeny",
    "MemoryMax",
    "MemorySwapMax",
    "OOMPolicy",
    "OpenFile",
    "RootDirectory",
    "Slice",
    "TasksMax",
    "Type",
    "User",
}
# Families of properties that harden. `Ex` is a second name of a property with more values than yes and no.
_HARDENS: Final = re.compile(r"(Private|Protect|Restrict|SystemCall|Keyring|Lock|NoNew|Remove|Device|.*Capabilit)")


def reported(unit: str) -> dict[str, str]:
    """Every property of a unit, its words sorted."""
    lines = on_machine("systemctl", "show", "--all", unit).ok().text.splitlines()
    pairs = (line.partition("=") for line in lines)
    return {name: " ".join(sorted(value.split())) for name, _, value in pairs}


def settings(unit: str) -> set[str]:
    """The names of all settings in the unit file."""
    lines = on_machine("systemctl", "cat", unit).ok().text.splitlines()
    return {line.partition("=")[0] for line in lines if "=" in line and not line.startswith("#")}


@contextmanager
def plain_service() -> Iterator[str]:
    """A service of this machine without any hardening. Yields its unit's name."""
    name = "checks-plain.service"
    on_machine("systemd-run", "--quiet", "--collect", f"--unit={name}", "sleep", "1000").ok()
    try:
        yield name
    finally:
        on_machine("systemctl", "stop", name).ok()


def test_the_running_unit_reports_every_hardening_property() -> None:
    with session("alice", "pi-probe", *IDLE) as running:
        found = reported(running.unit)
    assert {name: found[REPORTED_AS.get(name, name)] for name in HARDENING} == HARDENING
    assert found["RootDirectory"] == f"/run/pi-agent-root/{os.path.basename(os.readlink('/run/current-system'))}"
    assert found["User"] == str(agent("pi-probe").pw_uid)


def test_the_unit_file_sets_each_of_them_and_nothing_that_no_scenario_knows() -> None:
    """Defaults can change, and a setting that nobody tests may be a hole."""
    with session("alice", "pi-probe", *IDLE) as running:
        found = settings(running.unit)
    assert found == {*HARDENING, *SESSION, "SystemCallFilter"}


def test_no_property_falls_back_to_what_a_plain_service_has() -> None:
    with plain_service() as plain, session("alice", "pi-probe", *IDLE) as running:
        before, found = reported(plain), reported(running.unit)
    different = {name for name in found if found[name] != before.get(name)}
    assert {REPORTED_AS.get(name, name) for name in HARDENING if name not in SAME_AS_PLAIN} <= different
    # Every other setting of this kind that distinguishes a session from a plain service must be in the table.
    hardened = {name.removesuffix("Ex") for name in different if _HARDENS.match(name)}
    assert hardened - HARDENING.keys() - {"SystemCallFilter", "DeviceAllow"} == set()


# -- the system call filter


def members(name: str) -> set[str]:
    """The system calls in one of systemd's sets, and in the sets that it includes."""
    lines = on_machine("systemd-analyze", "syscall-filter", "--no-pager", name).ok().text.splitlines()
    words = {line.strip() for line in lines[1:] if not line.strip().startswith("#")} - {""}
    return {call for word in words for call in (members(word) if word.startswith("@") else {word})}


def test_the_system_call_filter_allows_what_services_use_and_nothing_privileged() -> None:
    with session("alice", "pi-probe", *IDLE) as running:
        allowed = reported(running.unit)["SystemCallFilter"].split()
    rings = {"io_uring_setup", "io_uring_enter", "io_uring_register", "io_setup"}
    # setpriv(1) calls these, to load our own filter and to set up Landlock.
    ours = {"capset", "landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self"}
    denied = members("@privileged") | members("@resources") | members("@keyring") | rings
    expected = members("@system-service") - denied | ours
    # Names that the filter library does not know (yet) are left out.
    assert set(allowed) <= expected
    assert {"capset", "clone", "execve", "openat", "read"} <= set(allowed)


# -- from inside


def test_a_session_has_every_namespace_to_itself_but_those_of_the_network_and_the_clock() -> None:
    links = "for name in cgroup ipc mnt net pid time user uts; do readlink /proc/self/ns/$name; done"
    ours = inside(links).ok().text.split()
    hosts = {os.readlink(f"/proc/self/ns/{name.partition(':')[0]}") for name in ours}
    assert {name.partition(":")[0] for name in set(ours) & hosts} == {"cgroup", "net", "time"}
    # Owners keep their ids in the user namespace.
    assert inside("cat /proc/self/uid_map /proc/self/gid_map").ok().text.split() == ["0", "0", "65536"] * 2


def test_proc_hides_the_processes_of_others_and_no_writable_place_has_devices_or_setuid_programs() -> None:
    mounts = [line.split() for line in inside("cat /proc/self/mountinfo").ok().text.splitlines()]
    assert "hidepid=invisible" in next(fields[-1] for fields in mounts if fields[4] == "/proc").split(",")
    writable = {fields[4]: set(fields[5].split(",")) for fields in mounts if "rw" in fields[5].split(",")}
    assert {"/dev/shm", "/tmp", "/var/tmp", "/home/alice/p/demo", "/var/lib/pi-probe"} <= writable.keys()
    for place, options in writable.items():
        assert {"nosuid", "nodev"} <= options or place == "/dev/pts", place
