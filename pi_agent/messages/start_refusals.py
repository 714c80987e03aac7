"""Refusals while a session is being started, or must not go on."""

from __future__ import annotations

from pi_agent.messages.quoting import escaped
from pi_agent.messages.refusal import EX_DATAERR, EX_UNAVAILABLE, Refusal


def session_not_started(unit: str) -> Refusal:
    return Refusal(EX_UNAVAILABLE, "systemd did not start the session", f"See why with: journalctl -u {unit}")


def session_not_limited(why: str) -> Refusal:
    return Refusal(
        EX_UNAVAILABLE,
        f"the limits of the session cannot be set: {escaped(why)}",
        "They need a kernel with user namespaces, and control groups in /sys/fs/cgroup (cgroup v2).",
    )


def request_too_large() -> Refusal:
    return Refusal(
        EX_DATAERR,
        "the variables and arguments of the session are more than Linux passes to a program",
        "One of them may have 128 KiB, all together 2 MiB. Look at your .env files, and at m3ta.pi-agent.environment,\n"
        "environmentFiles and wrapper.extraEnvironment.",
    )


def root_not_mounted(service: str) -> Refusal:
    return Refusal(
        EX_UNAVAILABLE,
        "the system directories that sessions see are not mounted",
        f"See why with: systemctl status {service}",
    )


def protection_lost(path: str, why: str) -> Refusal:
    return Refusal(
        EX_UNAVAILABLE,
        f"the session was ended: {escaped(path)} could not be protected again: {escaped(why)}",
        "It was replaced on the host while the session ran. See what has changed there before you use it.",
    )


def watches_used_up() -> Refusal:
    return Refusal(
        EX_UNAVAILABLE,
        "the protection of the project cannot be watched: root has no inotify instance or watch left",
        "Raise the limits with sysctl: fs.inotify.max_user_instances, fs.inotify.max_user_watches.",
    )
