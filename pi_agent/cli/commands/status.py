"""`--sandbox-status`: the caller's running sessions and their resource use. Runs as root, and only reads."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pi_agent.cli import output
from pi_agent.cli.call import Call
from pi_agent.linux import processes
from pi_agent.messages import command_output
from pi_agent.messages.quoting import escaped
from pi_agent.policy.policy_file import Tools
from pi_agent.session import running_sessions
from pi_agent.session.running_sessions import RunningSession


@dataclass(frozen=True, slots=True)
class Use:
    """memory: bytes in use; cpu: seconds used. None if the kernel or systemd does not count it."""

    memory: int | None
    cpu: float | None


def run(call: Call) -> int:
    """Print them, if there are any. Returns 0."""
    sessions = running_sessions.of_user(call.accounts.caller.uid)
    uses = used(call.policy.tools, [each.session.unit for each in sessions])
    if "--json" in call.invocation.flags:
        output.json([_as_json(each, uses[each.session.unit]) for each in sessions])
    elif not sessions:
        output.lines([command_output.NO_SESSIONS])
    else:
        show(sessions, uses, time.time())
    return 0


def used(tools: Tools, units: Sequence[str]) -> dict[str, Use]:
    """The resource use of each unit, asked of systemd in one call."""
    if not units:
        return {}
    argv = [tools.systemctl, "show", "--property=Id,MemoryCurrent,CPUUsageNSec", *units]
    # If systemd does not answer, the sessions are listed all the same.
    answer = processes.run(argv, accept=range(256)).output
    blocks = [dict(line.split("=", 1) for line in block.splitlines() if "=" in line) for block in answer.split("\n\n")]
    known = {block.get("Id", ""): block for block in blocks}
    return {unit: _use(known.get(unit, {})) for unit in units}


def _use(block: Mapping[str, str]) -> Use:
    cpu = _number(block.get("CPUUsageNSec", ""))
    return Use(_number(block.get("MemoryCurrent", "")), None if cpu is None else cpu / 1e9)


def _number(text: str) -> int | None:
    """A counter of systemd. Without a value it is `[not set]` or the largest number of 64 bits."""
    number = int(text) if text.isascii() and text.isdigit() else 2**64 - 1
    return number if number < 2**64 - 1 else None


def show(sessions: Sequence[RunningSession], uses: Mapping[str, Use], now: float) -> None:
    """Print sessions as a table. now: seconds since the epoch."""
    rows = [_row(each, uses[each.session.unit], now) for each in sessions]
    output.table(("SESSION", "SINCE", "FOR", "MEMORY", "CPU", "PROJECT ROOT"), rows)


def _row(each: RunningSession, use: Use, now: float) -> tuple[str, ...]:
    since = "starting" if each.since is None else time.strftime("%Y-%m-%d %H:%M", time.localtime(each.since))
    return (
        each.id,
        since,
        "-" if each.since is None else output.duration(now - each.since),
        "-" if use.memory is None else output.size(use.memory),
        "-" if use.cpu is None else output.duration(use.cpu),
        "-" if each.root is None else escaped(each.root),
    )


def _as_json(each: RunningSession, use: Use) -> dict[str, Any]:
    since = None if each.since is None else time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(each.since))
    return {
        "id": each.id,
        "unit": each.session.unit,
        "since": since,
        "projectRoot": each.root,
        "directory": each.directory,
        "memoryBytes": use.memory,
        "cpuSeconds": use.cpu,
    }
