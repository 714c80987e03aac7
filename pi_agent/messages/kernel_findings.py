"""What doctor finds of the kernel's means to keep sessions apart: grade, what was found, what to do."""

from __future__ import annotations

from pi_agent.messages.finding import FAIL, OK, WARN, Finding
from pi_agent.messages.quoting import escaped


def landlock() -> Finding:
    return Finding(OK, "Landlock", "sessions cannot open files outside, even with a descriptor from there")


def landlock_missing() -> Finding:
    what = "not offered by the kernel: a session can open files below a directory whose descriptor it is sent"
    remedy = 'Boot Linux 5.19 or later with Landlock switched on: "landlock" must be in security.lsm.'
    return Finding(WARN, "Landlock", what, remedy)


def landlock_not_used() -> Finding:
    what = "not used: sandbox.properties loosens RestrictNamespaces, and Landlock allows no mounts"
    remedy = "Without Landlock, a session can open files below a directory whose descriptor it is sent."
    return Finding(WARN, "Landlock", what, remedy)


def limits_sufficient(sessions: int) -> Finding:
    return Finding(OK, "limits", f"the machine's inotify limits are large enough for {sessions} sessions at once")


def limit_low(name: str, found: int, least: int, sessions: int) -> Finding:
    what = f"{escaped(name)} is {found}, so a session gets {found // sessions}: programs that watch files may fail"
    remedy = f'Set boot.kernel.sysctl."{escaped(name)}" to {least} or more, as NixOS does by default.'
    return Finding(WARN, "limits", what, remedy)


def root_mounted() -> Finding:
    return Finding(OK, "directories", "the system directories that sessions see are mounted")


def root_not_mounted_yet() -> Finding:
    return Finding(OK, "directories", "the next launch mounts the system directories that sessions see")


def root_service_failed(service: str) -> Finding:
    what = "the system directories that sessions see are not mounted, and their service has failed or is missing"
    remedy = f"See why with: systemctl status {service}\nIf it is missing, switch to this configuration again."
    return Finding(FAIL, "directories", what, remedy)
