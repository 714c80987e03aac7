"""`--sandbox-reset` removes what the agent keeps, only if its user confirms, and never during a session."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from support.commands import as_user, inside, on_machine, pi
from support.installed import FACTS, memory, state
from support.leftovers import assert_clean
from support.processes import ours
from support.sessions import IDLE, session
from support.terminals import ended, terminal
from support.waiting import PATIENCE, until

from pi_agent.messages import command_output

KEPT = """
mkdir -p ~/.cache/deep ~/.pi/agent/{npm,git,bin}/x ~/.npm/x ~/.npm-global/lib/x ~/own
echo 1 >~/.cache/deep/f; echo 2 >~/own/f
"""
RUNNER = (FACTS["sudo"], "-n", FACTS["variants"]["pi-probe"]["runner"])


def tree(user: str) -> set[str]:
    top = state(user, "pi-probe")
    return {str(path.relative_to(top)) for path in top.rglob("*")} if top.exists() else set()


def test_caches_and_packages_go_and_all_else_stays() -> None:
    inside(KEPT).ok()
    inside(KEPT, user="bob").ok()
    theirs = tree("bob")
    done = as_user("alice", "pi-probe", "--sandbox-reset", "--yes", cwd="/").ok()
    for name in (".cache", ".npm", ".npm-global", ".pi/agent/npm", ".pi/agent/git", ".pi/agent/bin"):
        assert name in done.text
        assert name not in tree("alice")
    assert {"own/f", ".pi/agent/sessions", ".pi/agent/settings.json"} <= tree("alice")
    assert tree("bob") == theirs
    inside("test -d ~/.npm-global/bin && test -f ~/own/f && test ! -e ~/.cache/deep").ok()


def test_everything_goes_and_the_next_launch_makes_it_anew() -> None:
    pi("run: echo x >~/own").ok()
    assert (state("alice") / "own").exists()
    pi("run: echo x >~/own", user="bob").ok()
    done = as_user("alice", "pi", "--sandbox-reset", "--all", "--yes", cwd="/").ok()
    assert ".pi" in done.text and "own" in done.text
    assert not state("alice").exists()
    assert list(memory("alice").iterdir()) == []
    assert (state("bob") / "own").exists()
    again = as_user("alice", "pi", "--sandbox-reset", "--all", "--yes", cwd="/").ok()
    assert again.text == command_output.NOTHING_TO_REMOVE
    assert "settings.json" in pi("run: ls ~/.pi/agent; test ! -e ~/own && echo anew").ok().text


def test_without_a_terminal_and_without_a_yes_nothing_goes() -> None:
    inside(KEPT).ok()
    before = tree("alice")
    for program in (("pi-probe",), RUNNER):
        refused = as_user("alice", *program, "--sandbox-reset", cwd="/", stdin=b"y\n")
        assert refused.status == 64
        assert "--yes" in refused.complaint
    assert tree("alice") == before


@pytest.mark.parametrize("answer", ["", "n", "no", "x", "yep"])
def test_at_a_terminal_it_asks_and_anything_but_yes_is_no(answer: str) -> None:
    inside(KEPT).ok()
    before = tree("alice")
    screen = terminal("alice", "pi-probe", "--sandbox-reset", "--all", cwd="/")
    screen.expect_exact("own")
    screen.expect_exact("[y/N]")
    screen.sendline(answer)
    screen.expect_exact(command_output.NOTHING_REMOVED)
    assert ended(screen) == 0
    assert tree("alice") == before


def test_at_a_terminal_a_yes_is_one() -> None:
    inside(KEPT).ok()
    screen = terminal("alice", "pi-probe", "--sandbox-reset", "--all", cwd="/")
    screen.expect_exact("[y/N]")
    # Nobody can use the state that is about to be removed.
    refused = as_user("alice", "pi-probe", *IDLE)
    assert refused.status == 69
    assert "being reset" in refused.complaint
    inside("true", user="bob").ok()
    screen.sendline("y")
    screen.expect_exact("Removed:")
    assert ended(screen) == 0
    assert tree("alice") == set()


def test_a_terminal_that_goes_away_is_a_no() -> None:
    inside(KEPT).ok()
    before = tree("alice")
    screen = terminal("alice", "pi-probe", "--sandbox-reset", "--all", cwd="/")
    screen.expect_exact("[y/N]")
    screen.close(force=True)
    assert_clean(PATIENCE)
    assert tree("alice") == before
    inside("true").ok()


def test_under_a_session_nothing_goes() -> None:
    with session("alice", "pi-probe", *IDLE) as hers:
        before = tree("alice")
        refused = as_user("alice", "pi-probe", "--sandbox-reset", "--all", "--yes", cwd="/")
        assert refused.status == 69
        assert hers.unit.rpartition("-")[2][:8] in refused.complaint and "--sandbox-stop" in refused.complaint
        assert tree("alice") == before
        # Another user's session does not prevent it.
        inside(KEPT, user="bob").ok()
        as_user("bob", "pi-probe", "--sandbox-reset", "--all", "--yes", cwd="/").ok()
        assert not state("bob", "pi-probe").exists()
    as_user("alice", "pi-probe", "--sandbox-reset", "--all", "--yes", cwd="/").ok()
    assert not state("alice", "pi-probe").exists()


def test_a_unit_whose_runner_and_guard_were_killed_is_ended_first() -> None:
    with session("alice", "pi-probe", *IDLE) as hers:
        hers.settled()
        for kind in ("guard", "runner"):
            for process in ours()[kind]:  # of the only session
                process.kill(signal.SIGKILL)
        reset = ("pi-probe", "--sandbox-reset", "--all", "--yes")
        until(lambda: as_user("alice", *reset, cwd="/").status == 0, "it is reset")
        assert on_machine("systemctl", "is-active", hers.unit).status != 0
    assert not state("alice", "pi-probe").exists()


def test_what_the_agent_left_leads_nowhere_and_hinders_nobody() -> None:
    outside = Path("/srv/shared/precious")
    outside.mkdir()
    (outside / "file").write_text("precious")
    outside.chmod(0o777)
    (outside / "file").chmod(0o666)
    inside(
        """
        mkdir -p ~/.cache/shut ~/.npm; ln -s /srv/shared/precious ~/.cache/link; ln -s / ~/.npm/root
        echo x >~/.cache/shut/f; chmod 0 ~/.cache/shut; mkfifo ~/.cache/pipe; truncate -s 1T ~/.cache/sparse
        rm -rf ~/.npm-global; ln -s /srv/shared/precious ~/.npm-global
        rm -rf ~/.pi/agent/git; ln -s /srv/shared/precious ~/.pi/agent/git
        cd ~/.cache; python3 -c 'import os
for number in range(3000): os.mkdir("d" * 100); os.chdir("d" * 100)'
        touch "$(printf 'a\\nb\\033[2J\\377')"
        """
    ).ok()
    done = as_user("alice", "pi-probe", "--sandbox-reset", "--yes", cwd="/").ok()
    assert b"\x1b" not in done.stdout + done.stderr
    assert (outside / "file").read_text() == "precious"
    names = tree("alice")
    assert not [name for name in names if name.split("/")[0] in (".cache", ".npm", ".npm-global")]
    assert ".pi/agent/git" not in names
    inside("true").ok()
    as_user("alice", "pi-probe", "--sandbox-reset", "--all", "--yes", cwd="/").ok()
    assert (outside / "file").read_text() == "precious"
    assert not state("alice", "pi-probe").exists()
