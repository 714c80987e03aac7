"""People who are listed, joined and removed: nobody's files move, and nobody's become another's."""

from __future__ import annotations

import os
import pwd
import shutil
from pathlib import Path

import pytest
from support.commands import as_user, inside, on_machine
from support.installed import FACTS, agent, memory, owner, policy, state
from support.processes import processes
from support.sessions import IDLE, session

Status = tuple[int, int, int, int, int]


def owners(top: Path) -> dict[Path, Status]:
    """Inode, owner, group, mode and time of change of everything below."""
    found = {}
    for path in [top, *top.rglob("*")]:
        at = path.lstat()
        found[path] = (at.st_ino, at.st_uid, at.st_gid, at.st_mode, at.st_ctime_ns)
    return found


def test_each_session_runs_as_an_account_of_its_users_own() -> None:
    with session("alice", "pi-two", *IDLE) as hers, session("bob", "pi-two", *IDLE) as his:
        for user, running in (("alice", hers), ("bob", his)):
            uid = os.stat(f"/proc/{running.main_pid()}").st_uid
            assert pwd.getpwuid(uid).pw_name == policy("pi-two")["hostUsers"][user]["agentUser"] == f"pi-agent-{user}"
        owning = {owner(variant).pw_uid for variant in FACTS["variants"]} - {owner("pi-sole").pw_uid}
        assert not [process for process in processes() if process.uid in owning], "no session owns state"


def test_an_agents_account_has_no_login_and_no_service_manager() -> None:
    """systemd-logind starts one for every user who asks to linger."""
    for uid, works in ((agent("pi-probe").pw_uid, False), (pwd.getpwnam("alice").pw_uid, True)):
        started = on_machine("systemctl", "start", f"user@{uid}.service")
        on_machine("systemctl", "stop", f"user@{uid}.service", f"user-runtime-dir@{uid}.service").ok()
        on_machine("systemctl", "reset-failed")
        assert (started.status == 0) == works, started.complaint
    words = ("exec", "id", "-un")
    assert as_user("alice", "pi-probe", *words).ok().text == agent("pi-probe").pw_name


def test_a_second_person_comes_and_goes_and_nobodys_files_move() -> None:
    """Also while sessions are running."""
    inside("echo hers >~/hers; mkdir -p ~/deep/er", command="pi-one").ok()
    before = owners(state("alice", "pi-one") / "deep")
    with session("alice", "pi-one", *IDLE):
        inside("echo his >~/his", user="bob", command="pi-two").ok()
        assert inside("cat ~/hers; echo more >>~/hers", command="pi-two").ok().text == "hers"
        with session("bob", "pi-two", *IDLE):
            # He is removed while his session is running.
            assert as_user("bob", "pi-one", "true").status == 77
            assert inside("cat ~/hers", command="pi-one").ok().text == "hers\nmore"
    assert owners(state("alice", "pi-one") / "deep") == before
    # What he left is closed to everybody, alice's agent included.
    left = state("bob", "pi-two")
    assert (left / "his").read_text() == "his\n"
    assert (left.stat().st_uid, left.stat().st_mode & 0o777) == (owner("pi-one").pw_uid, 0o700)
    for account in (agent("pi-one"), agent("pi-two", "bob"), pwd.getpwnam("bob"), pwd.getpwnam("alice")):
        ids = (f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups")
        assert on_machine("setpriv", *ids, "cat", left / "his").status != 0
    # Listed again, he goes on where he was.
    assert inside("cat ~/his", user="bob", command="pi-two").ok().text == "his"


def test_an_only_person_whose_agent_owned_the_state_goes_on_with_an_account_apart_and_back() -> None:
    inside("echo hers >~/hers; mkdir -p ~/deep/er", command="pi-sole").ok()
    before = owners(state("alice", "pi-sole") / "deep")
    assert inside("id -un; cat ~/hers; echo more >>~/hers", command="pi-apart").ok().text.split() == [
        "pi-agent-sole-alice",
        "hers",
    ]
    assert inside("id -un; cat ~/hers", command="pi-sole").ok().text.split() == ["pi-agent-sole", "hers", "more"]
    assert owners(state("alice", "pi-sole") / "deep") == before


def test_what_an_earlier_version_remembered_for_sync_moves_to_roots_place() -> None:
    """It was in the state directory, and so its owner's."""
    on_host = 'mkdir -p ~/.pi/agent; echo \'{"defaultModel": "one"}\' >~/.pi/agent/settings.json'
    as_user("alice", "sh", "-euc", on_host, cwd="/").ok()
    settings = '"$PI_CODING_AGENT_DIR/settings.json"'
    inside(f"sed -i 's/one/chosen inside/' {settings}; cat {settings}").ok()
    inside("true").ok()  # the choice is remembered
    new, old = memory("alice", "pi-probe"), state("alice", "pi-probe").parents[1] / "sync/alice"
    content = (new / "memory.json").read_bytes()
    old.parent.mkdir(mode=0o700)
    shutil.move(new, old)
    account = owner("pi-probe")
    for path in (old.parent, old, *old.iterdir()):
        os.chown(path, account.pw_uid, account.pw_gid)
    assert "chosen inside" in inside(f"cat {settings}").ok().text
    assert (new / "memory.json").read_bytes() == content
    assert not old.parent.exists()
    assert {path.stat().st_uid for path in (new.parent, new, *new.iterdir())} == {0}


@pytest.mark.parametrize("planted", ["users", "users/bob"])
def test_a_state_that_was_rearranged_harms_nobody_else(planted: str) -> None:
    """As the owner of the state could do it, or an agent of the version in which it was that."""
    inside("echo his >~/his", user="bob").ok()
    inside("echo hers >~/hers").ok()
    top = state("alice", "pi-probe").parents[1]
    account = owner("pi-probe")
    ids = (f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups")
    rearrange = f"mv {top / planted} {top}/away; ln -s {state('alice', 'pi-probe')} {top / planted}"
    if planted == "users":
        rearrange = f"mv {top / planted} {top}/away; ln -s /var/lib/pi-agent/users {top / planted}"
    on_machine("setpriv", *ids, "sh", "-euc", rearrange).ok()
    try:
        # He gets a new tree, and nobody's.
        assert inside("ls ~/hers ~/his; echo new >~/new", user="bob").text == ""
        assert not list(state("alice", "pi-probe").glob("new"))
    finally:
        on_machine("sh", "-euc", f"rm -rf {top}/users.displaced-* {top / planted}; mv {top}/away {top / planted}").ok()
