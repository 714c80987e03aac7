"""A first sync that takes long says so on a terminal, and nowhere else."""

from __future__ import annotations

from scenarios.guest import as_user, demo, ended, isolated, terminal

MANY = """
mkdir -p ~/.pi/agent/skills/many && cd ~/.pi/agent/skills/many
seq 40 | while read -r folder; do mkdir $folder; seq -f "$folder/%g" 500 | xargs touch; done
"""


def test_a_long_first_sync_shows_how_far_it_is_on_a_terminal_and_nothing_in_a_pipe() -> None:
    for user in ("alice", "bob"):
        as_user(user, "sh", "-c", MANY, timeout=120).ok()
    screen = terminal("alice", "pi-probe", "exec", "echo", "inside")
    screen.timeout = 120
    screen.expect(r"copying your configuration \[#*-*\] \d+ of 20\d\d\d files")
    screen.expect_exact("\r\x1b[K")
    screen.expect_exact("inside")
    assert ended(screen) == 0
    assert sum(1 for _ in isolated("alice", "skills/many", "pi-probe").rglob("*")) == 20_040
    piped = as_user("bob", "pi-probe", "exec", "echo", "inside", cwd=demo("bob"), timeout=120).ok()
    assert (piped.stdout, piped.stderr) == (b"inside\n", b"")


def test_a_start_with_nothing_to_copy_shows_nothing() -> None:
    as_user("alice", "pi-probe", "exec", "true").ok()
    screen = terminal("alice", "pi-probe", "exec", "echo", "inside")
    screen.expect_exact("inside")
    assert b"copying" not in screen.before
    assert ended(screen) == 0
