"""Checks of Pi's package and of the programs and files that a launch uses."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator

from pi_agent.cli.doctor.context import Context
from pi_agent.messages import findings
from pi_agent.messages.finding import Finding
from pi_agent.policy import accounts
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
    for path in (policy.launcher, policy.forget_compile_cache, policy.system_call_filter):
        if not os.path.isfile(path):
            yield findings.tool_file_missing(path)


def compile_cache(context: Context) -> Iterator[Finding]:
    """Node's compile cache of Pi's package is made, for the user's agent as well, and nobody can write it."""
    cache = context.policy.compile_cache
    if not os.path.isdir(os.path.dirname(cache)):
        yield findings.compile_cache_missing(os.path.dirname(cache))
        return
    if not os.path.isdir(cache):
        yield findings.compile_cache_of_no_use()
        return
    found = [cache, *(entry.path for top in os.scandir(cache) for entry in _inside(top))]
    bad = [path for path in found if os.lstat(path).st_mode & (stat.S_IWGRP | stat.S_IWOTH)]
    agent = None if context.user is None else accounts.of(context.policy, context.user).agent
    if bad:
        yield findings.compile_cache_open(bad[0])
    elif agent is not None and not any(name.endswith(f"-{agent.uid}") for name in os.listdir(cache)):
        yield findings.compile_cache_of_others(agent.name)
    else:
        yield findings.compile_cache(sum(os.path.isfile(path) for path in found))


def _inside(top: os.DirEntry[str]) -> Iterator[os.DirEntry[str]]:
    """A folder of the cache and its entries; nothing for a link to one."""
    if not top.is_symlink():
        yield top
        yield from os.scandir(top)


def unusable(programs: Iterable[str]) -> list[str]:
    """Those that do not exist or cannot be executed."""
    return [path for path in programs if not (os.path.isfile(path) and _is_executable(path))]


def _is_executable(path: str) -> bool:
    """Whether everybody may execute it: the agent has no rights that others lack, and only root may read sudo."""
    return os.stat(path).st_mode & stat.S_IXOTH != 0
