"""A launch that is refused while it is planned changes nothing anywhere, and `--sandbox-explain` reports the same.

These refusals need real users, file systems and programs. For all refusals, with stand-ins for the machine, see
tests/session/test_refused_while_planning.py.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest
from support.commands import as_user, inside, on_machine
from support.installed import SECRETS, SHARED, demo, home, memory, owner, policy, state
from support.leftovers import leftovers
from support.repositories import on_host
from support.unchanged import everything

# In memory like tmpfs, but without FS_ALLOW_IDMAP (Linux, fs/ramfs/inode.c).
_UNMAPPABLE: Final = "ramfs"


@dataclass(frozen=True, slots=True)
class Case:
    """arrange: causes the refusal, and undoes what is not undone anyway. status, says: of the refusal."""

    arrange: Callable[[], AbstractContextManager[object]]
    status: int
    says: str
    command: str = "pi-probe"
    cwd: str = "p/demo"


def by_alice(script: str) -> Callable[[], AbstractContextManager[object]]:
    """What alice does in her project (bash)."""

    def arrange() -> AbstractContextManager[object]:
        on_host(script)
        return nullcontext()

    return arrange


@contextmanager
def bobs_directory() -> Iterator[None]:
    """In alice's root, open to her by her group. The agent is not a member."""
    place = home("alice") / "p/bobs"
    place.mkdir()
    shutil.chown(place, "bob", "team")
    place.chmod(0o770)
    yield


@contextmanager
def bobs_directory_above() -> Iterator[None]:
    with bobs_directory():
        place = home("alice") / "p/bobs/alices"
        place.mkdir()
        shutil.chown(place, "alice", "users")
        yield


@contextmanager
def unmappable(mode: int) -> Iterator[None]:
    """alice's project on a file system whose owners cannot be mapped, with these permissions."""
    place = demo("alice")
    on_machine("mount", "-t", _UNMAPPABLE, _UNMAPPABLE, place).ok()
    try:
        shutil.chown(place, "alice", "users")
        place.chmod(mode)
        yield
    finally:
        on_machine("umount", place).ok()


@contextmanager
def state_unmappable() -> Iterator[None]:
    """The state directory on such a file system."""
    top, account = policy("pi-probe")["stateDir"], owner("pi-probe")
    on_machine("mount", "-t", _UNMAPPABLE, _UNMAPPABLE, top).ok()
    try:
        os.chown(top, account.pw_uid, account.pw_gid)
        yield
    finally:
        on_machine("umount", top).ok()


@contextmanager
def without_scratch() -> Iterator[None]:
    os.rmdir("/srv/scratch")
    try:
        yield
    finally:
        on_machine("install", "-d", "-m", "0755", "-o", "alice", "-g", "users", "/srv/scratch").ok()


@contextmanager
def redirectable_scratch() -> Iterator[None]:
    """The path leads through a link in a directory that others can change."""
    with without_scratch():
        place = Path("/srv/checks-open")
        place.mkdir()
        place.chmod(0o777)
        (place / "link").symlink_to("/etc")
        Path("/srv/scratch").symlink_to(place / "link")
        try:
            yield
        finally:
            Path("/srv/scratch").unlink()
            shutil.rmtree(place)


@contextmanager
def nonsense_in_secrets() -> Iterator[None]:
    (SECRETS / "more.env").write_text("hunter2\n")
    yield


@contextmanager
def state_gone() -> Iterator[None]:
    top = Path(policy("pi-probe")["stateDir"])
    away = top.with_suffix(".away")
    top.rename(away)
    top.mkdir()  # of root
    try:
        yield
    finally:
        top.rmdir()
        away.rename(top)


@contextmanager
def state_of_root() -> Iterator[None]:
    top = Path(policy("pi-probe")["stateDir"])
    os.chown(top, 0, 0)
    try:
        yield
    finally:
        os.chown(top, owner("pi-probe").pw_uid, owner("pi-probe").pw_gid)


@contextmanager
def memory_a_directory() -> Iterator[None]:
    file = memory("alice", "pi-probe") / "memory.json"
    file.unlink()
    file.mkdir()
    yield


@contextmanager
def state_being_reset() -> Iterator[None]:
    directory = os.open(memory("alice", "pi-probe"), os.O_RDONLY)
    try:
        fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(directory)


_CLOSED: Final = "the agent cannot enter"
_SETTINGS: Final = "~/.pi/agent/settings.json"

CASES: Final = {
    "outside of the roots": Case(nullcontext, 77, "is not inside an allowed project root", cwd="."),
    "somebody else's directory in her root": Case(bobs_directory, 77, _CLOSED, cwd="p/bobs"),
    "her directory in somebody else's": Case(bobs_directory_above, 77, _CLOSED, cwd="p/bobs/alices"),
    "a root that is the group's": Case(nullcontext, 77, _CLOSED, cwd=os.path.relpath(SHARED, "/home/alice")),
    "owners that cannot be mapped": Case(lambda: unmappable(0o700), 77, _CLOSED),
    "owners that cannot be mapped, for another group": Case(lambda: unmappable(0o750), 77, _CLOSED, "pi-group"),
    "a directory too deep": Case(
        by_alice("mkdir -p $(printf 'd/%.0s' $(seq 130))"), 69, "levels below", cwd="p/demo/" + "d/" * 130
    ),
    "a further path that is not there": Case(without_scratch, 78, "/srv/scratch", "pi-paths"),
    "a further path that others can redirect": Case(redirectable_scratch, 78, "/srv/scratch", "pi-paths"),
    "an environment file that is not there": Case(nullcontext, 78, "missing.env", "pi-missing-env"),
    "an environment file that says nothing": Case(nonsense_in_secrets, 78, "more.env", "pi-env"),
    "settings.json is nonsense": Case(by_alice(f"echo nonsense >{_SETTINGS}"), 65, "settings.json"),
    "settings.json is no object": Case(by_alice(f"echo '[1]' >{_SETTINGS}"), 65, "settings.json"),
    "settings.json is too large": Case(by_alice(f"head -c 5M /dev/zero >{_SETTINGS}"), 65, "settings.json"),
    "settings.json is a pipe": Case(by_alice(f"rm {_SETTINGS}; mkfifo {_SETTINGS}"), 65, "settings.json"),
    "settings.json is closed": Case(by_alice(f"chmod 0 {_SETTINGS}"), 65, "settings.json"),
    "settings.json leads into the kernel": Case(
        by_alice(f"ln -sf /proc/self/environ {_SETTINGS}"), 65, "settings.json"
    ),
    "auth.json is cut off": Case(by_alice('printf \'{"a": "hunter2\' >~/.pi/agent/auth.json'), 65, "auth.json"),
    "auth.json is nested too deeply": Case(
        by_alice("printf '{\"a\":%.0s' $(seq 300) >~/.pi/agent/auth.json"), 65, "auth.json"
    ),
    ".env is not understood": Case(by_alice("echo hunter2 >~/.pi/agent/.env"), 65, ".env"),
    "the .env beside is not understood": Case(by_alice("printf 'A=\\377' >~/.pi/.env"), 65, ".pi/.env"),
    ".env has too many variables": Case(by_alice("seq -f 'A%.0f=1' 2001 >~/.pi/agent/.env"), 65, ".env"),
    "the configuration is a file": Case(by_alice("rm -r ~/.pi/agent; touch ~/.pi/agent"), 65, "is not a directory"),
    "the configuration is closed to its own user": Case(by_alice("chmod 0 ~/.pi/agent"), 65, "cannot be read"),
    "the state is somebody else's": Case(state_of_root, 78, "state directory"),
    "the state is another directory": Case(state_gone, 78, "state directory"),
    "the state's owner cannot be mapped": Case(state_unmappable, 78, "cannot map owners"),
    "the memory is a directory": Case(memory_a_directory, 69, "cannot be read"),
    "the state is being reset": Case(state_being_reset, 69, "being reset"),
}


def test_this_launch_would_change_the_state_if_it_were_not_refused() -> None:
    prepare("pi-probe")
    before = everything()
    inside("true").ok()
    after = everything()
    changed = {name for name in {*before, *after} if before.get(name) != after.get(name)}
    tree = state("alice", "pi-probe")
    names = (
        ".pi/agent/settings.json",
        ".pi/agent/auth.json",
        ".pi/agent/skills/new",
        ".pi/agent/skills/evil",
        ".pi/.env",
    )
    for path in (*(tree / name for name in names), memory("alice", "pi-probe") / "memory.json"):
        assert str(path) in changed, path


def prepare(command: str) -> None:
    """Give a launch much to do: after a first launch, if possible, everything has changed."""
    on_host("mkdir -p ~/.pi/agent/skills; echo x >~/.pi/agent/skills/old; echo A=old >~/.pi/agent/.env")
    inside("mkdir -p ~/.pi/agent/skills; echo x >~/.pi/agent/skills/evil", command=command)
    on_host("rm ~/.pi/agent/skills/old; echo x >~/.pi/agent/skills/new; echo A=new >~/.pi/agent/.env")
    on_host("""echo '{"look": "new"}' >~/.pi/agent/settings.json""")
    on_host("""echo '{"provider": {"key": "new"}}' >~/.pi/agent/auth.json""")


@pytest.mark.parametrize("case", [pytest.param(case, id=name) for name, case in CASES.items()])
def test_a_launch_refused_while_planning_changes_nothing_and_is_explained_by_the_same_refusal(case: Case) -> None:
    prepare(case.command)
    cwd = os.path.normpath(home("alice") / case.cwd)
    with case.arrange():
        before = everything(case.command)
        launched = as_user("alice", case.command, "exec", "echo", "ran", cwd=cwd)
        assert (launched.status, launched.stdout) == (case.status, b""), launched
        assert case.says in launched.complaint
        assert everything(case.command) == before

        told = as_user("alice", case.command, "--sandbox-explain", "--json", cwd=cwd)
        assert everything(case.command) == before
        assert told.status == case.status, told
        facts = json.loads(told.stdout)
        assert (facts["status"], facts["allowed"]) == (case.status, False)
        for line in (facts["refusal"]["what"], *facts["refusal"]["remedy"].split("\n")):
            assert " ".join(line.split()) in launched.complaint
        assert "hunter2" not in launched.complaint + told.text
    assert leftovers() == []


def test_where_owners_cannot_be_mapped_but_the_agent_may_enter_both_say_so_and_neither_refuses() -> None:
    with unmappable(0o755):
        told = json.loads(as_user("alice", "pi-probe", "--sandbox-explain", "--json").ok().stdout)
        [project] = [mount for mount in told["mounts"] if mount["target"] == str(demo("alice"))]
        assert project["owners_mapped"] is False
        launched = inside("true").ok()
        [notice] = told["notices"]
        assert notice in launched.complaint
