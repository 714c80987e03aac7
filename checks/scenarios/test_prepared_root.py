"""The system directories that sessions share, and what is attached over them: all of it, for one session alone."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from support import strace
from support.commands import as_user, inside, on_machine
from support.fault_scenes import COMMAND
from support.installed import demo, home
from support.leftovers import assert_clean
from support.sessions import session
from support.waiting import until

PLACE: Final = Path("/run/pi-agent-root")
SYSTEM: Final = Path("/run/current-system")
SERVICE: Final = "m3ta-pi-agent-root.service"
BROKEN: Final = Path(f"/run/systemd/system/{SERVICE}.d/checks.conf")
OTHER: Final = Path("/run/checks-another-system")
ECHO: Final = ("exec", "bash", "-c", 'echo ready; while read -r line; do bash -c "$line"; done')
# The calls by which a session gets what it sees.
CALLS: Final = {"setns", "open_tree", "mount_setattr", "move_mount"}


def mounted() -> list[str]:
    """The mounts of the host, sorted."""
    return sorted(Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines())


def unmount() -> None:
    """Unmount the tree of the running system."""
    on_machine("umount", "--lazy", PLACE / SYSTEM.readlink().name).ok()


@pytest.fixture
def prepared() -> Iterator[None]:
    """The tree is mounted afterwards as before."""
    yield
    BROKEN.unlink(missing_ok=True)
    on_machine("systemctl", "daemon-reload").ok()
    on_machine("systemctl", "reset-failed", SERVICE)
    on_machine("systemctl", "start", SERVICE).ok()


# -- the system directories


@pytest.mark.usefixtures("prepared")
def test_a_launch_has_them_mounted_where_they_are_not() -> None:
    unmount()
    assert inside("test -e /etc/passwd && ! touch /etc/planted 2>/dev/null && echo ran").ok().text == "ran"
    assert str(PLACE) in "\n".join(mounted())


@pytest.mark.usefixtures("prepared")
def test_a_launch_is_refused_where_their_service_mounts_nothing() -> None:
    BROKEN.parent.mkdir(parents=True, exist_ok=True)
    BROKEN.write_text(f"[Service]\nExecStart=\nExecStart={shutil.which('false')}\n")
    on_machine("systemctl", "daemon-reload").ok()
    unmount()
    refused = inside("echo ran")
    assert (refused.status, refused.stdout) == (69, b"")
    assert "directories" in refused.complaint and SERVICE in refused.complaint
    assert_clean()


@pytest.mark.usefixtures("prepared")
def test_another_system_has_its_own_and_a_running_session_keeps_what_it_has() -> None:
    before = SYSTEM.readlink()
    with session("alice", "pi-probe", *ECHO) as earlier:
        try:
            OTHER.symlink_to(before)
            on_machine("ln", "-sfn", OTHER, SYSTEM).ok()
            assert inside("readlink /run/current-system").ok().text == str(OTHER)
            there = " ".join(mounted())
            assert f" {PLACE}/{OTHER.name} " in there and f" {PLACE}/{before.name} " not in there
            earlier.say(b"readlink /run/current-system; ls /etc | grep -c ^passwd$")
            assert earlier.hear().split() == [os.fsencode(before)]
            assert earlier.hear().split() == [b"1"]
        finally:
            on_machine("ln", "-sfn", before, SYSTEM).ok()
            OTHER.unlink()


def test_no_session_writes_in_them_and_none_sees_where_anothers_project_lies() -> None:
    for place in ("/", "/var", "/var/lib", "/srv", "/home", "/home/alice", "/var/hidden/directory"):
        assert inside(f"mkdir {place}/planted").status != 0
    inside("true", command="pi-paths").ok()
    assert inside("ls -A /srv 2>/dev/null", user="bob").text == ""


# -- what is attached


def test_nothing_of_a_session_is_mounted_on_the_host_while_it_runs() -> None:
    inside("true").ok()
    before = mounted()
    with session("alice", "pi-probe", *ECHO):
        assert mounted() == before
        as_user("alice", "sh", "-c", "touch .envrc && mv .envrc away && rm away", cwd=demo("alice")).ok()
        as_user("alice", "mv", home("alice") / "p", home("alice") / "moved", cwd="/").ok()
        as_user("alice", "mv", home("alice") / "moved", home("alice") / "p", cwd="/").ok()
    assert mounted() == before


def test_the_owner_renames_and_removes_as_ever_while_sessions_start() -> None:
    place = home("alice") / "p/checks busy"
    words = 'for n in $(seq 40); do mkdir "$1"; touch "$1/.envrc"; mv "$1/.envrc" "$1/x"; rm "$1/x"; rmdir "$1"; done'
    with session("alice", "pi-probe", *ECHO, cwd=home("alice") / "p"):
        for _ in range(2):
            with session("alice", "pi-probe", *ECHO, cwd=home("alice") / "p"):
                as_user("alice", "sh", "-ec", words, "sh", place, cwd="/").ok()


def attaching() -> list[strace.Step]:
    """The calls by which a session gets what it sees, while the runner is in its mount namespace, and the way back."""
    steps = [step for step in strace.of_the_runner(strace.runner(*COMMAND), demo("alice")) if step.name in CALLS]
    there = [number for number, step in enumerate(steps) if step.name == "setns"]
    return steps[there[0] : there[-1] + 1]


def test_a_session_without_any_part_of_it_never_runs() -> None:
    steps = attaching()
    assert {step.name for step in steps} == CALLS
    for step in steps:
        for _ in range(3):  # not every launch gets as far
            struck = strace.strike(step, "error=EPERM", strace.runner(*COMMAND), demo("alice"))
            if struck.hit:
                break
        assert struck.hit, str(step)
        # A runner that cannot return from there does nothing more.
        expected = 70 if step == steps[-1] else 69
        assert (struck.result.status, struck.result.stdout) == (expected, b""), (str(step), struck.result)
        assert b"Traceback" not in struck.result.stderr, str(step)
        assert_clean()


def test_a_session_whose_runner_is_killed_before_it_has_its_command_ends_by_itself() -> None:
    for step in attaching()[::3]:
        result = strace.strike(step, "signal=KILL", strace.runner(*COMMAND), demo("alice")).result
        assert b"ran" not in result.stdout
        until(lambda: not on_machine("systemctl", "--quiet", "list-units", "pi-agent-*.service").text, "the unit ends")
        assert_clean()
