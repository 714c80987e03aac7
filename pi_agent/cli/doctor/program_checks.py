"""Checks of Pi's package and of the programs and files that a launch uses."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator

from pi_agent.cli.doctor.context import Context
from pi_agent.messages import findings
from pi_agent.messages.finding import Finding
from pi_agent.python import records


def package(context: Context) -> Iterator[Finding]:
    """Pi can be executed."""
    program = context.policy.program
    bad = unusable([program])
    yield findings.package_unusable(program) if bad else findings.package(os.path.realpath(program))


def tools(context: Context) -> Iterator[Finding]:
    """The tools and the shell can be executed, and the files beside them exist."""
    policy = context.policy
    programs = [*records.values(policy.tools), policy.shell]
    bad = unusable(programs)
    yield from map(findings.tool_unusable, bad)
    if not bad:
        yield findings.tools(len(programs))
    for path in (policy.launcher, policy.system_call_filter):
        if not os.path.isfile(path):
            yield findings.tool_file_missing(path)


def unusable(programs: Iterable[str]) -> list[str]:
    """Those that do not exist or cannot be executed."""
    return [path for path in programs if not (os.path.isfile(path) and _is_executable(path))]


def _is_executable(path: str) -> bool:
    """Whether everybody may execute it: the agent has no rights that others lack, and only root may read sudo."""
    return os.stat(path).st_mode & stat.S_IXOTH != 0
