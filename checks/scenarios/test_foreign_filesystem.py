"""A project on a file system whose owners cannot be mapped is mounted as it is, with one notice."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.commands import as_user, inside, on_machine
from support.installed import agent, demo, home
from support.terminals import ended, terminal, written

# In memory like tmpfs, but without FS_ALLOW_IDMAP (Linux, fs/ramfs/inode.c).
FILE_SYSTEM = "ramfs"
NOTICE = "is on a file system that cannot map owners"


@pytest.fixture
def foreign() -> Iterator[Path]:
    """Alice's project on such a file system, readable by all."""
    place = demo("alice")
    copy = Path("/root/checks-demo")
    shutil.copytree(place, copy, symlinks=True)
    on_machine("mount", "-t", FILE_SYSTEM, FILE_SYSTEM, place).ok()
    try:
        on_machine("cp", "-R", f"{copy}/.", place).ok()
        on_machine("chown", "-R", "alice:users", place).ok()
        place.chmod(0o755)
        yield place
    finally:
        shutil.rmtree(copy)
        on_machine("umount", place).ok()


def test_the_file_system_of_this_test_is_what_it_takes_it_for(foreign: Path) -> None:
    option = "X-mount.idmap=u:0:0:1"
    target = Path("/run/checks-target")
    target.mkdir()
    try:
        assert on_machine("mount", "--bind", "-o", option, foreign, target).status != 0
    finally:
        target.rmdir()


def test_one_clear_notice_names_the_root_and_the_option(foreign: Path) -> None:
    result = inside("echo said").ok()
    assert result.text == "said"
    assert result.complaint.count(NOTICE) == 1
    assert f"{foreign} {NOTICE}" in result.complaint
    assert "m3ta.pi-agent.projectGroup" in result.complaint
    assert len(result.stderr.splitlines()) == 1
    # If owners can be mapped, there is no notice.
    assert inside("true", user="bob").ok().stderr == b""


def test_on_a_terminal_the_notice_is_there_too(foreign: Path) -> None:
    screen = terminal("alice", "pi-probe", "exec", "echo", "said")
    assert ended(screen) == 0
    assert screen.before.count(NOTICE.encode()) == 1
    assert written(screen).endswith(b"said\r\n")
    assert foreign.exists()


def test_owners_are_as_on_disk_and_permissions_decide(foreign: Path) -> None:
    assert inside("stat -c %U README; cat README").ok().text.splitlines() == ["alice", "A project of alice."]
    assert inside("echo x >>README").status != 0
    assert inside("touch made").status != 0
    (foreign / "open").mkdir(mode=0o777)
    (foreign / "open").chmod(0o777)
    inside("touch open/made").ok()
    assert (foreign / "open/made").stat().st_uid == agent("pi-probe").pw_uid


def test_git_trusts_the_repository(foreign: Path) -> None:
    result = inside("git status --short && git log --format=%s").ok()
    assert result.text == "Begin"
    assert "dubious" not in result.complaint
    shutil.copytree(foreign, foreign / "below", ignore=shutil.ignore_patterns("below"))
    on_machine("chown", "-R", "alice:users", foreign / "below").ok()
    assert inside("git log --format=%s", cwd=foreign / "below").ok().text == "Begin"


def test_the_project_group_gives_access_where_owners_cannot_be_mapped(foreign: Path) -> None:
    on_machine("chown", "-R", "alice:team", foreign).ok()
    on_machine("chmod", "-R", "u=rwX,g=rwX,o=", foreign).ok()
    on_machine("find", foreign, "-type", "d", "-exec", "chmod", "g+s", "{}", "+").ok()
    inside("cat README; echo new >made; git status --short", command="pi-group").ok()
    status = (foreign / "made").stat()
    assert status.st_uid == agent("pi-group").pw_uid
    assert status.st_gid == foreign.stat().st_gid
    # Without it, the agent cannot enter, and the message says so.
    refused = inside("cat README")
    assert refused.status == 77
    assert "the agent cannot enter" in refused.complaint


def test_no_setuid_file_comes_to_be_there_either(foreign: Path) -> None:
    (foreign / "open").mkdir(mode=0o777)
    (foreign / "open").chmod(0o777)
    inside("cp $(type -P id) open/made; chmod 4755 open/made")
    assert (foreign / "open/made").stat().st_mode & 0o6000 == 0
    assert "nosuid" in inside("findmnt --noheadings --output=OPTIONS --target .").ok().text


def test_a_mount_below_a_root_is_not_part_of_it() -> None:
    below = home("alice") / "p" / "below"
    as_user("alice", "mkdir", below).ok()
    on_machine("mount", "-t", "tmpfs", "tmpfs", below).ok()
    try:
        (below / "file").write_text("another file system")
        assert inside("ls -A below", cwd=home("alice") / "p").ok().text == ""
        assert os.path.exists(below / "file")
    finally:
        on_machine("umount", below).ok()
