"""Owners inside and on disk: the host user and the agent are swapped, everybody else stays."""

from __future__ import annotations

import grp
import json
import os
import pwd
import shutil
import stat

from support.commands import as_user, inside, on_machine
from support.installed import SHARED, agent, demo, owner, state

LIST = "stat --format='%n %u %g' -- *"


def owners(text: str) -> dict[str, tuple[int, int]]:
    rows = (line.rsplit(" ", 2) for line in text.splitlines())
    return {name: (int(uid), int(gid)) for name, uid, gid in rows}


def test_what_is_the_users_appears_as_the_agents_and_what_is_the_agents_as_nobodys() -> None:
    project = demo("alice")
    user, alice, bob = agent("pi-probe"), pwd.getpwnam("alice"), pwd.getpwnam("bob")
    team = grp.getgrnam("team").gr_gid
    for name, uid, gid in (
        ("of-alice", alice.pw_uid, alice.pw_gid),
        ("of-agent", user.pw_uid, user.pw_gid),
        ("of-bob", bob.pw_uid, bob.pw_gid),
        ("of-team", alice.pw_uid, team),
        ("of-root", 0, 0),
        ("of-nobody", 65534, 65534),
        ("of-high", 4_000_000_000, 4_000_000_000),
    ):
        (project / name).touch()
        os.chown(project / name, uid, gid)
    seen = owners(inside(LIST).ok().text)
    assert seen["README"] == seen["of-alice"] == (user.pw_uid, user.pw_gid)
    # The map goes one way: what is the agent's on disk, by an older version or a file system without maps, is nobody's.
    assert seen["of-agent"] == (65534, 65534)
    assert seen["of-bob"] == (bob.pw_uid, user.pw_gid if bob.pw_gid == alice.pw_gid else bob.pw_gid)
    assert seen["of-team"] == (user.pw_uid, team)
    assert seen["of-root"] == (0, 0)
    assert seen["of-nobody"] == (65534, 65534)
    # The user namespace knows 65536 ids (systemd.exec(5), PrivateUsers=identity). All others are invisible.
    assert seen["of-high"] == (65534, 65534)
    assert (project / "of-high").stat().st_uid == 4_000_000_000


def test_what_is_an_agents_on_disk_is_named_with_the_command_that_gives_it_to_the_user() -> None:
    left = demo("alice") / "left behind"
    (demo("alice") / "fine").touch()
    for account in (agent("pi-probe"), owner("pi-probe")):
        left.touch()
        os.chown(left, account.pw_uid, account.pw_gid)
        assert inside('echo x >>"left behind"').status != 0
        told = json.loads(as_user("alice", "pi-probe", "--sandbox-explain", "--json").ok().text)["of_agents"]
        assert (told["count"], told["first"], told["complete"]) == (1, [str(left)], True)
        [command] = told["remedy"]
        assert command in as_user("alice", "pi-probe", "--sandbox-explain").ok().text
        on_machine("sh", "-euc", command.removeprefix("sudo ")).ok()
        assert pwd.getpwuid(left.stat().st_uid).pw_name == "alice"
        inside('echo x >>"left behind"').ok()
    assert json.loads(as_user("alice", "pi-probe", "--sandbox-explain", "--json").ok().text)["of_agents"]["count"] == 0


def test_what_the_agent_makes_is_the_users_on_disk_whatever_it_is() -> None:
    inside("touch file; mkdir dir; ln -s x link; ln file hard; mkfifo pipe; touch dir/below; cp -a dir copy").ok()
    alice = pwd.getpwnam("alice")
    for name in ("file", "dir", "link", "hard", "pipe", "dir/below", "copy", "copy/below"):
        status = (demo("alice") / name).lstat()
        assert (status.st_uid, status.st_gid) == (alice.pw_uid, alice.pw_gid), name
    # She can use it without the agent.
    as_user("alice", "rm", "-r", "file", "dir", "link", "hard", "pipe", "copy").ok()


def test_what_is_roots_or_bobs_stays_theirs_and_cannot_be_written() -> None:
    project = demo("alice")
    for name, whose in (("of-root", "root"), ("of-bob", "bob")):
        (project / name).write_text("untouched")
        on_machine("chown", f"{whose}:root", project / name).ok()
        (project / name).chmod(0o644)
        assert inside('echo x >>"$1"', name).status != 0
        assert inside('chmod 666 "$1"', name).status != 0
        assert inside('chown "$(id -u)" "$1"', name).status != 0
        assert (project / name).read_text() == "untouched"
        assert pwd.getpwuid((project / name).stat().st_uid).pw_name == whose
        (project / name).chmod(0o600)
        assert inside('cat "$1"', name).status != 0
    (project / "of-alice").write_text("hers")
    on_machine("chown", "alice:users", project / "of-alice").ok()
    inside("echo x >>of-alice; chmod 600 of-alice; cat of-alice").ok()


def test_a_file_cannot_be_given_away() -> None:
    for whose in ("0", "1001", "alice"):
        assert inside('touch mine; chown "$1" mine', whose).status != 0
    assert inside("touch mine; chgrp 0 mine").status != 0


def test_in_a_shared_setgid_directory_new_files_get_its_group() -> None:
    command, team = "pi-group", grp.getgrnam("team").gr_gid
    (SHARED / "of-bob").write_text("bob's")
    on_machine("chown", "bob:team", SHARED / "of-bob").ok()
    (SHARED / "of-bob").chmod(0o664)
    (SHARED / "private").write_text("bob's alone")
    on_machine("chown", "bob:users", SHARED / "private").ok()
    (SHARED / "private").chmod(0o600)

    inside("mkdir dir; touch dir/file file; echo more >>of-bob", command=command, cwd=SHARED).ok()
    for name in ("dir", "dir/file", "file"):
        status = (SHARED / name).stat()
        assert (status.st_uid, status.st_gid) == (pwd.getpwnam("alice").pw_uid, team), name
    assert (SHARED / "dir").stat().st_mode & stat.S_ISGID
    seen = owners(inside(LIST, command=command, cwd=SHARED).ok().text)
    assert seen["of-bob"] == (pwd.getpwnam("bob").pw_uid, team)
    assert seen["file"] == (agent(command).pw_uid, team)
    # Bob's files stay his, as they do for alice herself.
    assert pwd.getpwuid((SHARED / "of-bob").stat().st_uid).pw_name == "bob"
    assert (SHARED / "of-bob").read_text() == "bob'smore\n"
    assert inside("cat private", command=command, cwd=SHARED).status != 0
    # Without the group, the agent has no rights there.
    assert inside("ls", command="pi-probe", cwd=SHARED).status != 0


def test_a_project_group_that_is_the_users_primary_group_keeps_working() -> None:
    shared = demo("alice") / "of-bob"
    shared.write_text("bob's")
    on_machine("chown", "bob:users", shared).ok()
    shared.chmod(0o660)
    inside("cat of-bob; echo more >>of-bob; touch made; mkdir dir; touch dir/below", command="pi-users").ok()
    assert shared.read_text() == "bob'smore\n"
    users = grp.getgrnam("users").gr_gid
    for name in ("made", "dir", "dir/below"):
        status = (demo("alice") / name).stat()
        assert (status.st_uid, status.st_gid) == (pwd.getpwnam("alice").pw_uid, users), name
    assert users in {int(number) for number in inside("id -G", command="pi-users").ok().text.split()}
    shared.chmod(0o600)
    assert inside("cat of-bob", command="pi-users").status != 0


def test_ordinary_changes_of_mode_work() -> None:
    inside("touch f; mkdir d; chmod 750 f; chmod 711 d; chmod +t d; install -m 640 f g; umask 077; touch h").ok()
    modes = {name: stat.S_IMODE((demo("alice") / name).stat().st_mode) for name in "fdgh"}
    assert modes == {"f": 0o750, "d": 0o1711, "g": 0o640, "h": 0o600}


def test_a_setuid_file_of_another_users_gives_nothing_inside() -> None:
    bash = shutil.which("bash")
    assert bash
    on_machine("install", "-o", "bob", "-m", "6755", bash, demo("alice") / "shell-of-bob").ok()
    seen = inside("./shell-of-bob -p -c 'id -u; id -ru'").ok().text.split()
    assert set(seen) == {str(agent("pi-probe").pw_uid)}
    # Outside, it would have been bob's.
    program = demo("alice") / "shell-of-bob"
    assert as_user("alice", program, "-p", "-c", "id -u").text == str(pwd.getpwnam("bob").pw_uid)


def test_a_program_that_alice_marked_executable_runs_inside() -> None:
    (demo("alice") / "script").write_text("#!/usr/bin/env bash\necho ran\n")
    (demo("alice") / "script").chmod(0o755)
    assert inside("./script").ok().text == "ran"


def test_files_of_the_state_are_the_agents_inside_and_their_owners_on_disk() -> None:
    inside("touch ~/file; mkdir ~/dir").ok()
    seen = owners(inside("cd; stat --format='%n %u %g' -- file dir .").ok().text)
    user = owner("pi-probe")
    for name in ("file", "dir", "."):
        status = (state("alice", "pi-probe") / name).stat()
        assert (status.st_uid, status.st_gid) == (user.pw_uid, user.pw_gid)
        assert seen[name] == (agent("pi-probe").pw_uid, agent("pi-probe").pw_gid)


def test_access_control_lists_of_a_project_keep_their_meaning() -> None:
    secret = demo("alice") / "for-bob"
    secret.write_text("x")
    on_machine("chown", "root:root", secret).ok()
    secret.chmod(0o600)
    assert inside("cat for-bob").status != 0
    on_machine("setfacl", "--modify", "user:alice:r", secret).ok()
    assert inside("cat for-bob").ok().text == "x"
