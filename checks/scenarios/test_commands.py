"""The commands that Pi does not have, as alice types them."""

from __future__ import annotations

import pytest
from support.commands import as_user, inside
from support.installed import FACTS, demo, home
from support.leftovers import assert_clean
from support.terminals import ended, terminal


def test_help_is_there_for_anybody_and_tells_of_every_command() -> None:
    for user in ("alice", "bob", "root"):
        shown = as_user(user, "pi", "--sandbox-help", cwd="/").ok().text
        assert "pi --sandbox-shell" in shown
    assert "usage: pi --sandbox-shell" in as_user("alice", "pi", "--sandbox-shell", "--help", cwd="/").ok().text


def test_a_command_that_there_is_not_is_refused_by_both_programs() -> None:
    for program in (["pi-probe"], [FACTS["sudo"], "-n", FACTS["variants"]["pi-probe"]["runner"]]):
        refused = as_user("alice", *program, "--sandbox-nothing", cwd=demo("alice"))
        assert refused.status == 64
        assert "--sandbox-nothing" in refused.complaint and "--sandbox-help" in refused.complaint


def test_whoever_calls_the_runner_himself_is_answered_as_by_pi() -> None:
    runner = (FACTS["sudo"], "-n", FACTS["variants"]["pi-probe"]["runner"])
    for words in (["--sandbox-help"], ["--sandbox-shell", "--help"]):
        assert as_user("alice", *runner, *words).ok().text == as_user("alice", "pi-probe", *words).ok().text
    assert as_user("alice", *runner, "--sandbox-shell", cwd=home("alice")).status == 77


# Without what differs from one session to the next.
LOOK = r"""
id; pwd; tty
env -0 | sort -z | tr '\0' '\n' | grep -v '^\(INVOCATION_ID\|SYSTEMD_EXEC_PID\|_\|\(CPU\|IO\|MEMORY\)_PRESSURE.*\)='
grep -v ' /run/pi-agent' /proc/self/mountinfo | cut -d' ' -f5-6 | sort
grep -E '^(Cap|NoNewPrivs|Seccomp)' /proc/self/status
"""


def test_a_shell_is_in_exactly_the_sandbox_that_pi_gets() -> None:
    by_pi = inside(LOOK).ok().text
    by_shell = as_user("alice", "pi-probe", "--sandbox-shell", cwd=demo("alice"), stdin=LOOK.encode()).ok().text
    assert by_shell == by_pi


def test_a_shell_at_a_terminal_is_interactive_and_its_status_is_kept() -> None:
    screen = terminal("alice", "pi-probe", "--sandbox-shell")
    screen.sendline("case $- in *i*) echo inter''active;; esac; ls /home/bob; exit 5")
    screen.expect("interactive")
    screen.expect("No such file")
    assert ended(screen) == 5
    assert_clean()


@pytest.mark.parametrize("words", [["--sandbox-shell", "x"], ["--sandbox-shell", "--json"]])
def test_a_shell_takes_no_arguments(words: list[str]) -> None:
    assert as_user("alice", "pi-probe", *words, cwd=demo("alice")).status == 64


def test_a_shell_needs_an_allowed_root_as_pi_does() -> None:
    refused = as_user("alice", "pi-probe", "--sandbox-shell", cwd=home("alice"))
    assert refused.status == 77
    assert "projectRoots" in refused.complaint
