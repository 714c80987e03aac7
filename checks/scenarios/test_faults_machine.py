"""A machine that fails: full and read-only disks, broken state, no systemd, and missing parts of the installation.

Each fault is undone when the scenario ends. The message says in one line what failed, and in a second what to do.
"""

from __future__ import annotations

import os
import shutil
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support import strace
from support.commands import Result, as_user, inside, on_machine
from support.fault_scenes import NEW, OLD, Scene, check_aftermath, check_state
from support.installed import STAGING, demo, home, memory, owner, policy
from support.leftovers import assert_clean
from support.processes import processes
from support.sessions import IDLE, session
from support.waiting import until

VARIANT = strace.VARIANT
STATE = Path(policy(VARIANT)["stateDir"])
MEMORY = memory("alice", VARIANT)


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


@contextmanager
def mounted(*words: str | Path) -> Iterator[None]:
    """Mount something (mount(8)) over the last of the words."""
    on_machine("mount", *words).ok()
    try:
        yield
    finally:
        on_machine("umount", "--lazy", words[-1]).ok()


def launch() -> Result:
    """Launch directly through the runner: a login may need what is broken now."""
    result, _ = strace.trace(["-e", "trace=none"], strace.runner("exec", "echo", "ran"), demo("alice"))
    return result


def assert_refused(result: Result, status: int, says: str) -> None:
    assert (result.status, result.stdout) == (status, b""), result
    assert says in result.complaint, result
    assert len(result.stderr.splitlines()) == 2, result


# -- disks


@contextmanager
def disk_of_its_own() -> Iterator[None]:
    """alice's state on a small file system of its own, with all its content."""
    user = owner(VARIANT)
    copy = Path("/run/checks-state")
    on_machine("cp", "--archive", STATE, copy).ok()
    try:
        options = f"size=2m,mode=0700,uid={user.pw_uid},gid={user.pw_gid}"
        with mounted("-t", "tmpfs", "-o", options, "checks", STATE):
            on_machine("cp", "--archive", f"{copy}/.", STATE).ok()
            yield
    finally:
        shutil.rmtree(copy)


@pytest.mark.parametrize("room", [0, 1, 2, 4, 7, 12])
def test_a_full_disk(scene: Scene, room: int) -> None:
    """room: the pages left, so that the disk is full at a different write each time."""
    with disk_of_its_own():
        filler = STATE / "filler"
        with filler.open("wb", buffering=0) as file, pytest.raises(OSError, match="No space left"):
            while True:
                file.write(b"x" * 4096)
        os.truncate(filler, max(0, filler.stat().st_size - room * 4096))
        result = launch()
        if result.status:
            assert_refused(result, 69, "No space left on device")
        else:
            assert room, "there was no room at all"
        assert_clean()
        check_state([OLD, NEW])
        filler.unlink()
        check_aftermath()


def test_a_read_only_disk(scene: Scene) -> None:
    with disk_of_its_own():
        on_machine("mount", "-o", "remount,ro", STATE).ok()
        assert_refused(launch(), 69, "Read-only file system")
        check_state([OLD])
        on_machine("mount", "-o", "remount,rw", STATE).ok()
        check_aftermath()


def test_no_room_to_stage(scene: Scene) -> None:
    """/run/pi-agent, where sessions are staged."""
    with mounted("-t", "tmpfs", "-o", "size=4k,nr_inodes=8,mode=0700", "checks", "/run/pi-agent"):
        assert_refused(launch(), 69, "could not be prepared for the sandbox: No space left on device")
        assert_clean()
    check_aftermath()


# -- broken state


@pytest.mark.parametrize("name", ["settings.json", "auth.json"])
@pytest.mark.parametrize("content", [b"", b'{"a": 1, "b"', b"[1]", b"\x00\xff" * 500, b"{" * 100_000])
def test_a_broken_document_inside_is_kept_and_written_anew(scene: Scene, name: str, content: bytes) -> None:
    directory = STATE / "users/alice/.pi/agent"
    (directory / name).write_bytes(content)
    result = launch()
    assert (result.status, result.stdout) == (0, b"ran\n")
    assert f"the isolated {name} could not be read" in result.complaint
    [kept] = directory.glob(f"{name}.displaced-*")
    assert kept.read_bytes() == content
    check_state([NEW])


@pytest.mark.parametrize(
    "content", [b"", b"{}", b'{"version": 9}', b"\x00\xff" * 500, b'{"version":1,"files":[],"documents":3}']
)
def test_a_broken_memory_of_sync_costs_nothing_but_the_choices(scene: Scene, content: bytes) -> None:
    (MEMORY / "memory.json").write_bytes(content)
    result = launch()
    assert (result.status, result.stdout) == (0, b"ran\n")
    assert "the record of the last sync could not be read" in result.complaint
    assert launch() == Result(0, b"ran\n", b"")
    check_state([NEW])


def _lock_is_a_directory() -> None:
    (MEMORY / "lock").unlink()
    (MEMORY / "lock").mkdir()


def _memory_is_a_directory() -> None:
    (MEMORY / "memory.json").unlink()
    (MEMORY / "memory.json").mkdir()


def _settings_are_roots() -> None:
    os.chown(STATE / "users/alice/.pi/agent/settings.json", 0, 0)


def _tree_is_roots() -> None:
    os.chown(STATE / "users/alice/.pi/agent", 0, 0)


def _state_is_roots() -> None:
    os.chown(STATE, 0, 0)


def _state_is_a_file() -> None:
    STATE.rename(STATE.with_suffix(".away"))
    STATE.write_text("")


def _state_is_gone() -> None:
    STATE.rename(STATE.with_suffix(".away"))


@pytest.mark.parametrize(
    ("breaking", "status"),
    [
        (_lock_is_a_directory, 69),
        (_memory_is_a_directory, 69),
        (_settings_are_roots, 0),
        (_tree_is_roots, 69),
        (_state_is_roots, 78),
        (_state_is_a_file, 78),
        (_state_is_gone, 78),
    ],
)
def test_state_of_the_wrong_kind_or_owner(scene: Scene, breaking: object, status: int) -> None:
    assert callable(breaking)
    user = owner(VARIANT)
    breaking()
    try:
        result = launch()
        if status:
            assert_refused(result, status, "state")
        else:
            assert (result.status, result.stdout) == (0, b"ran\n")
        assert_clean()
    finally:
        away = STATE.with_suffix(".away")
        if away.exists():
            STATE.unlink(missing_ok=True)
            away.rename(STATE)
        os.chown(STATE, user.pw_uid, user.pw_gid)
        os.chown(STATE / "users/alice/.pi/agent", user.pw_uid, user.pw_gid)
    scene.restore()
    check_aftermath()


# -- systemd


def test_systemd_that_cannot_be_reached(scene: Scene) -> None:
    with (
        mounted("--bind", "/dev/null", "/run/systemd/private"),
        mounted("--bind", "/dev/null", "/run/dbus/system_bus_socket"),
    ):
        result = launch()
    assert (result.status, result.stdout) == (69, b"")
    assert "systemd did not start the session" in result.complaint
    check_aftermath()


def test_a_bus_that_does_not_answer_for_a_while(scene: Scene) -> None:
    [bus] = [
        found for found in processes() if found.name in ("dbus-daemon", "dbus-broker") and "--system" in found.words
    ]
    bus.kill(signal.SIGSTOP)
    waker = threading.Timer(3, lambda: bus.kill(signal.SIGCONT))
    waker.start()
    try:
        assert launch() == Result(0, b"ran\n", b"")
    finally:
        waker.join()
    check_aftermath()


# -- parts of the installation


@pytest.mark.parametrize("whose", ["owner", "agent"])
@pytest.mark.parametrize(("database", "kind"), [("passwd", "user"), ("group", "group")])
def test_without_a_user_or_a_group(scene: Scene, tmp_path: Path, database: str, kind: str, whose: str) -> None:
    names = {"owner": policy(VARIANT)[kind], "agent": policy(VARIANT)["hostUsers"]["alice"][f"agent{kind.title()}"]}
    name = names[whose]
    path = Path("/etc", database)
    lines = path.read_text().splitlines(keepends=True)
    without = tmp_path / database
    without.write_text("".join(line for line in lines if not line.startswith(f"{name}:")))
    without.chmod(0o644)
    assert without.read_text() != path.read_text()
    with mounted("--bind", without, path):
        assert_refused(launch(), 78, f"accounts of the agent do not exist: the {kind} «{name}»")
    check_aftermath()


def test_without_the_package(scene: Scene, tmp_path: Path) -> None:
    missing = {**policy(VARIANT), "program": "/nix/store/none/bin/pi"}
    result, _ = strace.trace(
        ["-e", "trace=none"], strace.under_policy(missing, strace.runner("x"), tmp_path), demo("alice")
    )
    assert result.status == 127, result
    assert missing["program"] in result.complaint
    check_aftermath()


def test_a_root_that_is_removed_while_a_session_is_in_it(scene: Scene) -> None:
    root = home("alice") / "p"
    with session("alice", "pi-probe", *IDLE) as running:
        root.rename(home("alice") / "moved")
        assert running.wait().status == 0
    refused = as_user("alice", "pi-probe", "exec", "true", cwd=home("alice") / "moved")
    assert refused.status == 77
    assert "is not inside an allowed project root" in refused.complaint
    (home("alice") / "moved").rename(root)
    inside("true").ok()
    with session("alice", "pi-probe", *IDLE) as running:
        (demo("alice") / "README").unlink()
        assert running.wait().status == 0


def test_the_host_user_can_work_in_a_project_while_a_session_is_in_it() -> None:
    with session("alice", "pi-probe", *IDLE):
        until(lambda: f" {STAGING}/" not in Path("/proc/self/mountinfo").read_text(), "what was staged is released")
        as_user("alice", "git", "config", "checks.key", "value").ok()
        as_user("alice", "sh", "-c", "mv .git .moved && mv .moved .git").ok()
        as_user("alice", "rm", "-r", ".git").ok()
