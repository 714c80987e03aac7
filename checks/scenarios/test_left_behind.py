"""What a session leaves that the host may run by itself: told, asked about before the prompt, and disarmed.

Each attack is written by the agent inside, and would be run by alice's own git, with nothing more than `git status`.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Final

import pytest
from support.commands import as_user, inside, on_machine
from support.installed import demo, home, policy
from support.repositories import TRAP, on_host
from support.terminals import ended, hang_up, terminal, written
from support.waiting import until

# The program that git is to run, outside of every path that is protected.
PROGRAM: Final = f"""
set -eu
printf '#!/bin/sh\\necho ran >>%s\\n' '{{home}}/{TRAP}' >"$PWD/evil.sh"; chmod +x evil.sh; evil=$PWD/evil.sh
"""
ATTACKS: Final = {
    "a nested repository that is added": (
        "git init -q vendor/dep; cd vendor/dep; git commit -q --allow-empty -m x; cd ../..; git add vendor/dep;"
        'git -C vendor/dep config core.fsmonitor "$evil"',
        "git status",
        "vendor/dep/.git/config",
    ),
    "a bare repository made of plain files": (
        'mkdir -p src/objects src/refs; echo "ref: refs/heads/x" >src/HEAD;'
        'printf "[core]\\nrepositoryformatversion = 0\\nbare = false\\nworktree = ..\\nfsmonitor = %s\\n" '
        '"$evil" >src/config',
        "cd src && git status",
        "src/config",
    ),
    "another common directory": (
        'git init -q made; mkdir -p evil/objects evil/refs; printf "[core]\\nrepositoryformatversion = 0\\n'
        'fsmonitor = %s\\n" "$evil" >evil/config; echo "$PWD/evil" >made/.git/commondir',
        "cd made && git status",
        "evil/config",
    ),
    "a hook in a repository made inside": (
        "git init -q made; cp evil.sh made/.git/hooks/pre-commit",
        "cd made && git -c user.name=a -c user.email=b@c commit -q --allow-empty -m x",
        "made/.git/hooks/pre-commit",
    ),
    "behind a directory that alice cannot list": (
        'git init -q made; git -C made config core.fsmonitor "$evil"; chmod 311 made/.git',
        "cd made && git status",
        "made/.git/config",
    ),
    "behind many other files": (
        'mkdir -p .git/worktrees; cd .git/worktrees; for n in $(seq 5000); do : >"a$n"; done; cd ../..;'
        'git init -q zzz; git -C zzz config core.fsmonitor "$evil"',
        "cd zzz && git status",
        "zzz/.git/config",
    ),
    "an include": (
        'git init -q made; printf "[core]\\nfsmonitor = %s\\n" "$evil" >made/x; git -C made config include.path ../x',
        "cd made && git status",
        "made/.git/config",
    ),
    "a filter": (
        'git init -q made; cd made; echo "* filter=x" >.gitattributes; echo x >file;'
        'git config filter.x.clean "$evil; cat"',
        "cd made && git add file",
        "made/.git/config",
    ),
}


def attack(script: str) -> str:
    return PROGRAM.format(home=home("alice")) + script


def ran(command: str) -> bool:
    """Whether alice's own command runs what the agent wrote."""
    trap = home("alice") / TRAP
    trap.unlink(missing_ok=True)
    as_user("alice", "sh", "-c", command)
    return trap.exists()


def at_terminal(script: str, answer: bytes, command: str = "pi-probe") -> bytes:
    """A session at a terminal, and its question answered. Returns everything written."""
    screen = terminal("alice", command, "exec", "bash", "-c", script)
    screen.expect_exact(b"[disarm/keep] ")
    before = written(screen)
    screen.send(answer)
    assert ended(screen) == 0
    return before + bytes(screen.before)


@pytest.mark.parametrize("kind", ATTACKS)
def test_what_git_would_run_is_disarmed_before_the_prompt(kind: str) -> None:
    script, command, path = ATTACKS[kind]
    said = at_terminal(attack(script), b"\r").decode()
    assert "git would run" in said and path in said and "disarmed:" in said
    assert not ran(command)


@pytest.mark.parametrize("kind", ATTACKS)
def test_the_same_runs_where_it_is_kept(kind: str) -> None:
    """The control: what is disarmed above would have run."""
    script, command, path = ATTACKS[kind]
    said = at_terminal(attack(script), b"keep\r").decode()
    assert path in said and "remembered" in said
    assert ran(command)


def test_without_a_terminal_it_is_told_after_pis_own_output_and_the_status_is_pis() -> None:
    script, command, path = ATTACKS["an include"]
    result = inside(f"{attack(script)}; echo said; echo complained >&2; exit 7")
    assert (result.status, result.text) == (7, "said")
    assert result.complaint.startswith("complained pi-probe: files that your machine may run")
    assert f"{path}: include.path" in result.complaint
    assert "Other terminals and editors" in result.complaint
    assert ran(command), "it is told, not disarmed"
    on_machine("journalctl", "--sync").ok()
    entry = on_machine("journalctl", "-t", "pi-agent", "-n", "1", "-o", "json", "PI_AGENT_EVENT=self-running").ok()
    assert json.loads(entry.stdout)["PI_AGENT_PATHS"] == path
    assert "evil.sh" not in entry.text


def test_a_session_that_leaves_nothing_says_nothing() -> None:
    script = (
        "git init -q new; git clone -q new copy; git -C new commit -q --allow-empty -m x; echo x >file; mkdir -p a/b"
    )
    assert inside(script).ok().complaint in ("", "warning: You appear to have cloned an empty repository.")


def test_an_answer_is_remembered_for_the_same_content_until_a_reset() -> None:
    script, _, path = ATTACKS["behind a directory that alice cannot list"]

    def again(more: str = "true") -> str:
        """What a session is told that makes the same again, after alice has removed it."""
        as_user("alice", "sh", "-c", "chmod -R u+rwX made; rm -rf made evil.sh").ok()
        return inside(f"{attack(script)}; {more}").ok().complaint

    at_terminal(attack(script), b"keep\r")
    assert again() == ""
    assert path in again("echo '# other' >>evil.sh"), "what it names has another content"
    assert again() == ""
    as_user("alice", "pi-probe", "--sandbox-reset", "--all", "--yes").ok()
    assert path in again()


def test_no_agent_can_give_an_answer() -> None:
    place = f"{policy('pi-probe')['stateDir']}-sync"
    assert inside(f"ls {place} || ls {place}/alice || echo x >{place}/alice/self-running-answers").status != 0
    assert os.stat(place).st_uid == 0 and not os.stat(place).st_mode & 0o077


@pytest.mark.parametrize("answer", [b"\x03", b"\x04", b"\x1c", b"what?\r"])
def test_nobody_answering_means_to_disarm(answer: bytes) -> None:
    script, command, path = ATTACKS["a hook in a repository made inside"]
    said = at_terminal(attack(script), answer).decode()
    assert f"{path} is now {path}.disarmed-" in said
    assert not ran(command)


def test_a_terminal_that_is_closed_at_the_question_means_to_disarm() -> None:
    script, command, _ = ATTACKS["a hook in a repository made inside"]
    screen = terminal("alice", "pi-probe", "exec", "bash", "-c", attack(script))
    screen.expect_exact(b"[disarm/keep] ")
    hang_up(screen)
    until(lambda: list((demo("alice") / "made/.git/hooks").glob("pre-commit.disarmed-*")), "the hook is disarmed")
    assert not ran(command)


def test_a_terminal_that_goes_away_during_the_session_means_to_disarm() -> None:
    script, command, _ = ATTACKS["a hook in a repository made inside"]
    screen = terminal("alice", "pi-probe", "exec", "bash", "-c", f"{attack(script)}; echo ready; exec sleep 1000")
    screen.expect_exact(b"ready")
    hang_up(screen)
    until(lambda: list((demo("alice") / "made/.git/hooks").glob("pre-commit.disarmed-*")), "the hook is disarmed")
    assert not ran(command)


def test_files_are_disarmed_as_alice_and_nothing_is_lost() -> None:
    at_terminal("echo evil >.envrc; mkdir .vscode2 .zed; echo '{}' >.zed/tasks.json; chmod 311 .zed", b"\r")
    [envrc] = demo("alice").glob(".envrc.disarmed-*")
    assert envrc.read_text() == "evil\n" and envrc.owner() == "alice"
    [tasks] = (demo("alice") / ".zed").glob("tasks.json.disarmed-*")
    assert tasks.owner() == "alice"
    assert not (demo("alice") / ".envrc").exists()


@pytest.mark.parametrize(("command", "kept"), [("pi-tells", True), ("pi-disarms", False)])
def test_the_option_decides_without_a_question(command: str, kept: bool) -> None:
    screen = terminal("alice", command, "exec", "bash", "-c", "echo evil >.envrc")
    assert ended(screen) == 0
    said = written(screen).decode()
    assert "[disarm/keep]" not in said and ".envrc" in said
    assert (demo("alice") / ".envrc").exists() == kept
    (demo("alice") / ".envrc").unlink(missing_ok=True)
    result = inside("echo evil >.envrc", command=command).ok()
    assert ".envrc" in result.complaint
    assert (demo("alice") / ".envrc").exists() == kept


def test_what_is_mounted_over_hides_nothing(tmp_path: Path) -> None:
    """The agent writes below a mount point, which the host user sees once it is unmounted."""
    place = demo("alice") / "mounted"
    as_user("alice", "mkdir", place).ok()
    on_machine("mount", "-t", "tmpfs", "tmpfs", place).ok()
    try:
        result = inside("echo evil >mounted/.envrc")
        assert "mounted/.envrc" in result.complaint
        assert not (place / ".envrc").exists()
    finally:
        on_machine("umount", place).ok()
    assert (place / ".envrc").exists()


def test_git_does_not_trust_what_somebody_else_owns_and_can_be_told_to_distrust_bare_repositories() -> None:
    """What README and doctor recommend works: `safe.bareRepository=explicit`."""
    script, _, _ = ATTACKS["a bare repository made of plain files"]
    inside(attack(script))
    assert ran("cd src && git status")
    assert not ran("cd src && git -c safe.bareRepository=explicit status")
    on_machine("chown", "-R", "bob", demo("alice") / "src").ok()
    assert not ran("cd src && git status")


def test_a_launch_that_leaves_nothing_pays_next_to_nothing() -> None:
    on_host("for n in $(seq 300); do mkdir -p d/$n; echo x >d/$n/f; done")
    timed = [json.loads(as_user("alice", "pi-true", "--sandbox-timing=json").ok().stderr) for _ in range(7)]
    shares = [
        step["seconds"] / each["seconds"] for each in timed for step in each["steps"] if step["name"] == "provenance"
    ]
    # Most of it while systemd starts the unit.
    assert len(shares) == 7 and min(shares) < 0.15
