"""Checks of systemd, the kernel and the journal."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import Final

from pi_agent.cli.doctor.context import Context
from pi_agent.linux import journald, landlock, processes
from pi_agent.linux.errors import reason
from pi_agent.messages import findings, kernel_findings
from pi_agent.messages.finding import Finding
from pi_agent.policy.policy_file import Tools
from pi_agent.sandbox import file_access, prepared_root
from pi_agent.session import namespace_limits

SYSTEMD: Final = 257
KERNEL: Final = (5, 12)  # mount_setattr(2), MOUNT_ATTR_IDMAP
_SEND: Final = "echo >/dev/udp/127.0.0.1/9 && echo sent"
_SENT: Final = "sent"
_DENIED: Final = "denied"


def systemd(context: Context) -> Iterator[Finding]:
    """systemd answers, and is new enough."""
    # A caller who is no user of the machine's D-Bus yet gets an answer as well.
    argv = [context.policy.tools.systemctl, "show", "--property=Version", "--value"]
    answer = processes.run(argv, accept=range(256))
    number = re.match(r"[0-9]+", answer.output)
    if answer.status != 0 or number is None:
        yield findings.systemd_unreachable(answer.output)
    elif int(number[0]) < SYSTEMD:
        yield findings.systemd_too_old(answer.output, SYSTEMD)
    else:
        yield findings.systemd(answer.output, SYSTEMD)


def kernel(_context: Context) -> Iterator[Finding]:
    """Linux is new enough, and has user namespaces."""
    release = os.uname().release
    needed = ".".join(map(str, KERNEL))
    number = re.match(r"([0-9]+)\.([0-9]+)", release)
    if number is None or tuple(map(int, number.groups())) < KERNEL:
        yield findings.kernel_too_old(release, needed)
        return
    with open("/proc/sys/user/max_user_namespaces", encoding="ascii") as file:
        allowed = int(file.read())
    yield findings.kernel(release, needed) if allowed else findings.user_namespaces_off()


def system_directories(context: Context) -> Iterator[Finding]:
    """The system directories that sessions see are mounted, or the service that mounts them has not failed."""
    if prepared_root.look().is_mounted:
        yield kernel_findings.root_mounted()
        return
    argv = [context.policy.tools.systemctl, "show", "--property=LoadState,ActiveState", prepared_root.SERVICE]
    states = processes.run(argv, accept=range(256)).output.split()
    well = "LoadState=loaded" in states and "ActiveState=failed" not in states
    yield kernel_findings.root_not_mounted_yet() if well else kernel_findings.root_service_failed(prepared_root.SERVICE)


def landlock_offered(context: Context) -> Iterator[Finding]:
    """The kernel offers Landlock, which keeps sessions from opening files outside by descriptors sent to them."""
    if file_access.allows_mounts(context.policy):
        yield kernel_findings.landlock_not_used()
    elif landlock.version() < file_access.OLDEST:
        yield kernel_findings.landlock_missing()
    else:
        yield kernel_findings.landlock()


def shared_limits(_context: Context) -> Iterator[Finding]:
    """The machine's own limits leave each session a part that is large enough."""
    low = {
        name.replace("/", "."): (found, least)
        for name, least in namespace_limits.wanted().items()
        if (found := namespace_limits.machine_limit(name)) is not None and found < least
    }
    for name, (found, least) in low.items():
        yield kernel_findings.limit_low(name, found, least, namespace_limits.SESSIONS)
    if not low:
        yield kernel_findings.limits_sufficient(namespace_limits.SESSIONS)


def journal(_context: Context) -> Iterator[Finding]:
    """journald listens."""
    import socket

    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as connection:
            connection.connect(journald.SOCKET)
    except OSError as error:
        yield findings.journal_unreachable(journald.SOCKET, reason(error))
    else:
        yield findings.journal()


def denied_addresses(context: Context) -> Iterator[Finding]:
    """The kernel blocks the addresses that the policy denies."""
    sandbox = context.policy.sandbox
    if sandbox.network == "none":
        yield findings.no_network()
    elif not sandbox.deny_addresses:
        yield findings.no_addresses_denied()
    else:
        answer = _send_datagram(context.policy.tools)
        if answer == _DENIED:
            yield findings.addresses_denied()
        elif answer == _SENT:
            yield findings.addresses_not_denied()
        else:
            yield findings.addresses_unknown(answer)


def _send_datagram(tools: Tools) -> str:
    """Send a datagram to nobody from a unit that may reach nothing. Returns `denied`, `sent`, or why that is unknown.

    systemd does not say where it cannot deny addresses, and what it can deny differs between machines: so we try.
    """
    options = ("--quiet", "--wait", "--pipe", "--collect", "--setenv=LC_ALL=C", "--property=IPAddressDeny=any")
    finished = processes.run([tools.systemd_run, *options, "--", tools.bash, "-c", _SEND], accept=range(256))
    if finished.status == 0 and finished.output == _SENT:
        return _SENT
    if "Operation not permitted" in finished.output:
        return _DENIED
    return finished.output or findings.exit_status(finished.status)
