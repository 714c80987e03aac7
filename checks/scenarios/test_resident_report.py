"""While Pi runs, whoever writes to the report of launch.bash neither ends another session nor keeps anybody busy."""

from __future__ import annotations

import signal
import subprocess
import time

import pytest
from support.commands import inside
from support.leftovers import assert_clean, staged
from support.processes import ours
from support.resident import program, proportional_size, seconds_used, waiting
from support.sessions import session
from support.waiting import CLEAN_WITHIN, until

TERM = signal.SIGTERM
# Longer than until the runner has become the shell.
LONG = "sleep 1.7"


def test_the_agent_cannot_write_to_the_report() -> None:
    script = f"{LONG}; printf 'ended 0\\n' >/proc/1/fd/4 && echo written; {LONG}; exit 5"
    result = inside(script)
    assert (result.status, result.stdout) == (5, b""), "Landlock lets it open nothing that it was not given"
    assert_clean()


@pytest.mark.parametrize("early", [True, False])
@pytest.mark.parametrize("lie", [b"ended 300", b"started", b"x" * 200, b"", b"\0\xff"])
def test_whoever_writes_nonsense_to_the_report_changes_nothing(lie: bytes, early: bool) -> None:
    """As an agent could where the kernel has no Landlock."""
    script = "echo ready; read -r line; exit 5"
    with session("alice", "pi-probe", "exec", "bash", "-c", script) as running:
        if not early:
            waiting()
        [directory] = staged()
        (directory / "report").write_bytes(lie + b"\n")
        until(lambda: not early or program(ours()["runner"][0]).startswith("python"), "Python waits")
        running.say(b"end")
        assert running.wait().status == 5
    assert_clean()


def test_a_forged_end_ends_the_session() -> None:
    with session("alice", "pi-probe", "exec", "bash", "-c", "echo ready; exec sleep 1000") as running:
        waiting()
        [directory] = staged()
        (directory / "report").write_bytes(b"ended 0\n")
        assert running.wait(3 * CLEAN_WITHIN).status in {0, 143}
    assert_clean()


@pytest.mark.parametrize("signalled", [True, False])
def test_whoever_writes_to_the_report_without_end_keeps_nobody_busy(signalled: bool) -> None:
    with session("alice", "pi-probe", "exec", "bash", "-c", "echo ready; read -r line; exit 5") as running:
        runner = waiting()
        [directory] = staged()
        with subprocess.Popen(["sh", "-c", 'exec yes >"$1"', "sh", directory / "report"]) as writer:
            until(lambda: program(runner).startswith("python"), "Python waits")
            before, since = seconds_used(runner), time.monotonic()
            until(lambda: time.monotonic() > since + 2, "some time has passed")
            assert seconds_used(runner) - before < 0.6
            assert proportional_size([runner]) < 40_000
            if signalled:
                runner.kill(TERM)
            else:
                running.say(b"end")
            # Who writes without end may hide how the session ended.
            assert running.wait(3 * CLEAN_WITHIN).status in ({143, 137} if signalled else {5, 137})
            writer.kill()
    assert_clean()
