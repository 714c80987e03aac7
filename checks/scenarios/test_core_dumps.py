"""No core dump of a session, or of the programs that start it, reaches a program that collects core dumps.

Such a program, like systemd-coredump(8), keeps the memory and the environment of what crashed, secrets included. The
kernel starts it if core_pattern begins with `|`, and then ignores a limit of 0 (core(5)). The pattern holds for all
machines of a kernel, so these scenarios need one of their own.
"""

from __future__ import annotations

import shlex
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from support.commands import inside, on_machine
from support.installed import agent
from support.processes import ours
from support.sessions import IDLE, session
from support.waiting import until

pytestmark = pytest.mark.needs_limits

_PATTERN: Final = Path("/proc/sys/kernel/core_pattern")
# The kernel waits for up to so many of these programs: when a process is seen to have ended, its core is collected.
_WAITS: Final = Path("/proc/sys/kernel/core_pipe_limit")
# Sets the limit in its argument, prints the limit that it then has, and crashes.
_CRASH: Final = """
import os, resource, signal, sys
resource.setrlimit(resource.RLIMIT_CORE, (int(sys.argv[1]), resource.getrlimit(resource.RLIMIT_CORE)[1]))
print(resource.getrlimit(resource.RLIMIT_CORE)[0], flush=True)
os.kill(os.getpid(), signal.SIGSEGV)
"""
_CRASHED: Final = 128 + signal.SIGSEGV


@pytest.fixture
def collected(tmp_path: Path) -> Iterator[Path]:
    """A file to which every core dump adds the name of the process."""
    tmp_path.chmod(0o755)
    program, log = tmp_path / "collect", tmp_path / "log"
    log.touch()
    program.write_text(f'#!/bin/sh\ncat >/dev/null\necho "$1" >>{shlex.quote(str(log))}\n')
    program.chmod(0o755)
    before = {path: path.read_text() for path in (_PATTERN, _WAITS)}
    _PATTERN.write_text(f"|{program} %E %e")
    _WAITS.write_text("16")
    try:
        yield log
    finally:
        for path, text in before.items():
            path.write_text(text)


def _crash_outside(limit: str) -> None:
    """Crash a process of the agent's outside the sandbox."""
    identity = agent("pi-probe")
    words = ("setpriv", f"--reuid={identity.pw_uid}", f"--regid={identity.pw_gid}", "--clear-groups")
    done = on_machine(*words, "python3", "-c", _CRASH, limit)
    assert (done.status, done.text) == (_CRASHED, limit), done.complaint


def test_no_core_dump_of_a_session_is_collected(collected: Path) -> None:
    for limit in ("0", "1"):
        done = inside('python3 -c "$@"; echo $?', _CRASH, limit)
        # Nobody inside can change the limit.
        assert done.text.split() == ["1", str(_CRASHED)], done.complaint
    assert collected.read_text() == ""
    _crash_outside("0")
    assert len(collected.read_text().splitlines()) == 1, "the control"
    # It is the limit of a session that makes the difference.
    _crash_outside("1")
    assert len(collected.read_text().splitlines()) == 1


def test_no_core_dump_of_the_runner_or_its_guard_is_collected(collected: Path) -> None:
    for name in ("runner", "guard"):
        with session("alice", "pi-probe", *IDLE) as going:
            [process] = ours()[name]
            process.kill(signal.SIGSEGV)
            until(lambda process=process: not process.there(), f"the {name} has ended")  # type: ignore[misc]
            if name == "guard":
                assert going.wait().status == 0
    assert collected.read_text() == ""
    assert on_machine("python3", "-c", _CRASH, "0").status == _CRASHED
    assert len(collected.read_text().splitlines()) == 1, "the control"
