"""A long first sync shows progress on a terminal, and only there."""

from __future__ import annotations

from typing import Final

from support import strace
from support.commands import as_user
from support.installed import demo, isolated
from support.terminals import ended, terminal

from pi_agent.messages import progress_texts

MANY: Final = """
mkdir -p ~/.pi/agent/skills/many && cd ~/.pi/agent/skills/many
seq 40 | while read -r folder; do mkdir $folder; seq -f "$folder/%g" 5 | xargs touch; done
"""
# Independent of the machine's copying speed: here one of the many files takes longer than a second.
SLOW: Final = strace.slow("renameat", 20)


def test_a_long_first_sync_shows_how_far_it_is_on_a_terminal() -> None:
    as_user("alice", "sh", "-c", MANY).ok()
    screen = strace.at_terminal(SLOW, strace.runner("exec", "echo", "inside"), demo("alice"))
    screen.expect(progress_texts.COPYING_CONFIGURATION + r" \[#*-*\] \d+ of 2\d\d files")
    screen.expect_exact("\r\x1b[K")
    screen.expect_exact("inside")
    assert ended(screen) == 0
    assert sum(1 for _ in isolated("alice", "skills/many", "pi-probe").rglob("*")) == 240


def test_a_long_first_sync_shows_nothing_in_a_pipe() -> None:
    as_user("alice", "sh", "-c", MANY).ok()
    result, log = strace.trace(SLOW, strace.runner("exec", "echo", "inside"), demo("alice"))
    assert "(DELAYED)" in log
    assert (result.ok().stdout, result.stderr) == (b"inside\n", b"")


def test_a_start_with_nothing_to_copy_shows_nothing() -> None:
    as_user("alice", "pi-probe", "exec", "true").ok()
    screen = terminal("alice", "pi-probe", "exec", "echo", "inside")
    screen.expect_exact("inside")
    assert progress_texts.COPYING_CONFIGURATION.encode() not in screen.before
    assert ended(screen) == 0
