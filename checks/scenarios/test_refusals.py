"""Which users and directories are refused: exit status, facts in the message, and that nothing was started or made."""

from __future__ import annotations

import json
import os
import pwd
import shutil
from pathlib import Path

import pytest
from support.commands import Result, as_user, on_machine, probe
from support.installed import FACTS, SHARED, agent, demo, home, owner, policy, state

RUNNER = FACTS["variants"]["pi-probe"]["runner"]
NOT_PERMITTED = 77


def as_root(*argv: str, cwd: Path | str = "/") -> Result:
    return on_machine("env", "--chdir", os.fspath(cwd), *argv)


def by_sudo(user: str, *argv: str, cwd: Path | str | None = None) -> Result:
    return as_user(user, FACTS["sudo"], "-n", "--", RUNNER, *argv, cwd=cwd)


@pytest.mark.parametrize(
    ("place", "proposed"),
    [
        ("/srv", "/srv"),
        ("/home/alice/.ssh", "/home/alice/.ssh"),
        # A whole home is never proposed, and paths that the sandbox provides itself cannot become a root.
        ("/home/alice", "~/projects"),
        ("/", None),
        ("/tmp", None),
        ("/etc", None),
    ],
)
def test_outside_a_root_the_message_names_the_roots_and_the_line_that_would_allow_it(
    place: str, proposed: str | None
) -> None:
    refused = as_user("alice", "pi", "-p", "hello", cwd=place)
    assert refused.status == NOT_PERMITTED
    assert refused.stdout == b""
    assert f"pi: {place} is not inside an allowed project root" in refused.complaint
    roots = policy()["hostUsers"]["alice"]["projectRoots"]
    assert "Allowed for alice: " + ", ".join(roots) in refused.complaint
    if proposed is None:
        assert "cannot be a project root" in refused.complaint
        assert "projectRoots" not in refused.complaint
    else:
        listed = " ".join(f'"{root}"' for root in [*roots, proposed])
        assert f'm3ta.pi-agent.hostUsers."alice".projectRoots = [ {listed} ];' in refused.complaint
    assert not state("alice").exists()


def test_the_line_that_a_refusal_proposes_is_nix() -> None:
    for place in (home("alice") / "a ${b}", home("alice") / 'a "quoted'):
        on_machine("install", "-d", "-o", "alice", place).ok()
        refused = as_user("alice", "pi", "-p", "hello", cwd=place).complaint
        literal = refused[refused.index("[ ") : refused.index("];") + 1]
        parsed = on_machine("nix", "eval", "--json", "--expr", literal).ok().text
        assert json.loads(parsed) == [*policy()["hostUsers"]["alice"]["projectRoots"], str(place)]


@pytest.mark.parametrize("place", ["/", "/tmp", "/home/alice"])
def test_the_runner_called_by_sudo_decides_the_same(place: str) -> None:
    early = as_user("alice", "pi-probe", "x", cwd=place)
    late = by_sudo("alice", "x", cwd=place)
    assert (late.status, late.stderr) == (early.status, early.stderr)
    assert late.status == NOT_PERMITTED


def test_the_runner_called_by_sudo_serves_a_root_that_is_allowed() -> None:
    assert b'"argv": ["x"]' in by_sudo("alice", "x").ok().stdout


def test_a_name_that_only_begins_like_a_root_is_outside() -> None:
    twin = home("alice") / "p-other"
    on_machine("install", "-d", "-o", "alice", twin).ok()
    assert as_user("alice", "pi-probe", "x", cwd=twin).status == NOT_PERMITTED
    assert by_sudo("alice", "x", cwd=twin).status == NOT_PERMITTED


def test_somebody_elses_project_is_refused() -> None:
    # Even if permissions would let her in.
    for directory in (home("bob"), home("bob") / "p", demo("bob")):
        directory.chmod(0o755)
    refused = as_user("alice", "pi", "-p", "hello", cwd=demo("bob"))
    assert refused.status == NOT_PERMITTED
    assert "/home/bob/p/demo is not inside an allowed project root" in refused.complaint
    assert by_sudo("alice", "x", cwd=demo("bob")).status == NOT_PERMITTED
    as_user("bob", "pi-probe", "x").ok()


def test_an_unlisted_user_is_refused_everywhere() -> None:
    for place in (home("carol"), "/"):
        for arguments in (["-p", "hello"], ["--version"], ["--help"]):
            refused = as_user("carol", "pi", *arguments, cwd=place)
            assert refused.status == NOT_PERMITTED
            assert refused.stdout == b""
            assert "the user «carol» may not use pi-agent on this machine" in refused.complaint
            assert 'm3ta.pi-agent.hostUsers."carol".projectRoots = [ "~/projects" ];' in refused.complaint


def test_sudo_lets_an_unlisted_user_run_nothing() -> None:
    refused = by_sudo("carol", "--version", cwd="/")
    assert refused.status == 1
    assert refused.stdout == b""


def test_sudo_lets_a_listed_user_run_nothing_but_the_runner() -> None:
    for argv in (["true"], ["bash", "-c", "true"], [FACTS["variants"]["pi"]["wrapper"]], [FACTS["probe"]]):
        assert as_user("alice", FACTS["sudo"], "-n", "--", *argv).status == 1
    for account in (owner().pw_name, agent().pw_name):
        assert as_user("alice", FACTS["sudo"], "-n", "-u", account, "--", RUNNER).status == 1
    assert as_user("alice", FACTS["sudo"], "-n", "-u", "bob", "--", RUNNER).status == 1


def test_sudo_lets_nobody_change_what_the_runner_is_told() -> None:
    for setting in ("SUDO_UID=1001", "PYTHONPATH=/home/alice", "LD_PRELOAD=/home/alice/x.so"):
        assert as_user("alice", FACTS["sudo"], "-n", setting, "--", RUNNER, "x").status == 1
    assert as_user("alice", FACTS["sudo"], "-n", "-E", "--", RUNNER, "x").status in (0, 1)


def test_a_python_file_beside_the_caller_is_not_imported_by_root() -> None:
    for name in ("orjson", "os", "json", "sitecustomize", "usercustomize", "pi_agent", "fcntl"):
        (demo("alice") / f"{name}.py").write_text("open('/tmp/checks-imported', 'w').close()\nraise SystemExit(42)\n")
    try:
        # The probe is a Python program of the sandbox's, and is not tested here.
        command = ("env", f"PYTHONPATH={demo('alice')}", f"PYTHONHOME={demo('alice')}", "PYTHONSTARTUP=os.py")
        early = as_user("alice", *command, "pi", "--version")
        late = as_user("alice", *command, FACTS["sudo"], "-n", "--", FACTS["variants"]["pi"]["runner"], "--version")
        assert not Path("/tmp/checks-imported").exists()
        late.ok()
        assert early.status != 42
    finally:
        Path("/tmp/checks-imported").unlink(missing_ok=True)


def test_root_is_refused_by_both_programs() -> None:
    refused = as_root(FACTS["variants"]["pi"]["wrapper"], "-p", "hello", cwd=demo("alice"))
    assert refused.status == NOT_PERMITTED
    assert "refusing to run as root" in refused.complaint
    assert "m3ta.pi-agent.hostUsers" in refused.complaint
    refused = as_root(RUNNER, "x", cwd=demo("alice"))
    assert refused.status == NOT_PERMITTED
    assert "cannot tell who is asking" in refused.complaint
    assert "Run the pi command as a listed host user" in refused.complaint


@pytest.mark.parametrize(
    "claim", ["", "0", "-1", "alice", "1e3", "１０００", "99999999999", "4294967295", "4294967296", "65533"]
)
def test_a_uid_that_is_no_listed_users_is_refused_even_from_root(claim: str) -> None:
    refused = as_root("env", f"SUDO_UID={claim}", "SUDO_USER=alice", RUNNER, "x", cwd=demo("alice"))
    assert refused.status == NOT_PERMITTED
    assert refused.stdout == b""


def test_root_may_speak_for_a_user_as_sudo_does() -> None:
    # Only root can set SUDO_UID. The runner believes it, and applies that user's policy.
    alice = str(pwd.getpwnam("alice").pw_uid)
    as_root("env", f"SUDO_UID={alice}", RUNNER, "x", cwd=demo("alice")).ok()
    assert as_root("env", f"SUDO_UID={alice}", RUNNER, "x", cwd=demo("bob")).status == NOT_PERMITTED


def test_a_directory_that_was_removed_is_refused() -> None:
    gone = home("alice") / "p" / "gone"
    on_machine("install", "-d", "-o", "alice", gone).ok()
    for command in (["pi-probe", "x"], [FACTS["sudo"], "-n", "--", RUNNER, "x"]):
        gone.mkdir(exist_ok=True)
        refused = as_user("alice", "sh", "-c", 'rmdir "$PWD"; exec "$@"', "sh", *command, cwd=gone)
        assert refused.status == NOT_PERMITTED
        assert "was removed or renamed, or cannot be reached" in refused.complaint
        assert "cd" in refused.complaint


def test_a_directory_that_was_replaced_is_refused() -> None:
    place = home("alice") / "p" / "place"
    on_machine("install", "-d", "-o", "alice", place).ok()
    swap = 'mv "$PWD" "$PWD.old"; mv "$PWD.old" ../../moved; mkdir "$OLDPWD/x" 2>/dev/null; exec "$@"'
    refused = as_user("alice", "sh", "-c", swap, "sh", "pi-probe", "x", cwd=place)
    assert refused.status == NOT_PERMITTED
    assert "/home/alice/moved is not inside an allowed project root" in refused.complaint


def test_a_root_that_its_user_can_redirect_is_not_considered() -> None:
    # ~/p is one of alice's roots, and she owns its parent.
    elsewhere = home("alice") / "private"
    on_machine("install", "-d", "-o", "alice", elsewhere / "demo").ok()
    shutil.rmtree(home("alice") / "p")
    (home("alice") / "p").symlink_to(elsewhere)
    refused = as_user("alice", "pi-probe", "x", cwd=elsewhere)
    assert refused.status == NOT_PERMITTED
    assert "others than root can redirect the symbolic link /home/alice/p." in refused.complaint
    assert by_sudo("alice", "x", cwd=elsewhere).status == NOT_PERMITTED


def test_a_root_that_only_root_can_redirect_is_followed() -> None:
    real = Path("/srv/real")
    SHARED.rename(real)
    SHARED.symlink_to(real)
    try:
        on_machine("chmod", "0777", real).ok()
        assert probe("x", cwd=SHARED)["cwd"] == str(real)
    finally:
        SHARED.unlink()
        real.rename(SHARED)


def test_an_inner_root_wins_over_an_outer_one() -> None:
    assert probe("x")["cwd"] == str(demo("alice"))
    mounted = as_user("alice", "pi-probe", "exec", "findmnt", "--noheadings", "--output=TARGET", "--target", ".")
    assert mounted.ok().text == str(demo("alice"))


def test_where_the_agent_cannot_go_it_says_so() -> None:
    # Alice may enter as a member of the group. This variant's agent is not a member.
    refused = as_user("alice", "pi-probe", "x", cwd=SHARED)
    assert refused.status == NOT_PERMITTED
    assert "the agent cannot enter" in refused.complaint
    assert probe("x", command="pi-group", cwd=SHARED)["cwd"] == str(SHARED)


def test_a_hostile_directory_name_is_shown_harmless() -> None:
    place = home("alice") / "x\x1b]0;owned\x07\n${pkgs}"
    on_machine("install", "-d", "-o", "alice", place).ok()
    refused = as_user("alice", "pi", "-p", "hello", cwd=place)
    assert refused.status == NOT_PERMITTED
    assert b"\x1b" not in refused.stderr
    assert b"\x07" not in refused.stderr
    assert b"\\x1b]0;owned\\x07\\n" in refused.stderr


@pytest.mark.parametrize(
    "name", ["git dir:1%h", "$HOME ${X} `id`", "ünïcödé ☃", "-rf", "a" * 200, "tab; true", "#x,y=z"]
)
def test_any_printable_project_name_can_be_worked_in(name: str) -> None:
    place = home("alice") / "p" / name
    on_machine("install", "-d", "-o", "alice", "--", place).ok()
    assert os.fsencode(probe("x", cwd=place)["cwd"]) == os.fsencode(place)


def test_a_name_that_is_no_text_can_be_worked_in() -> None:
    place = home("alice") / "p" / os.fsdecode(b"latin \xe9 \xff")
    on_machine("install", "-d", "-o", "alice", place).ok()
    assert os.fsencode(probe("x", cwd=place)["cwd"]) == os.fsencode(place)


def test_a_refusal_leaves_the_isolated_state_as_it_was() -> None:
    as_user("alice", "pi-probe", "x").ok()
    before = sorted(state("alice", "pi-probe").rglob("*"))
    as_user("alice", "pi-probe", "x", cwd="/")
    by_sudo("alice", "x", cwd="/")
    assert sorted(state("alice", "pi-probe").rglob("*")) == before
