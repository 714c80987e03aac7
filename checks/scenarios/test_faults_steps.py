"""A launch that is stopped at any step, or one of whose system calls fails, leaves no trace and no damage.

The isolated state has something to lose, and the host's configuration has something new, so every launch writes.
Afterwards each file is the old or the new version, and the next launch completes the work.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest
from support import strace
from support.commands import Result
from support.fault_scenes import COMMAND, Scene, at_each, tell
from support.installed import demo
from support.strace import Step

# How a process with another program is started (posix_spawn(3)).
STARTS: Final = ("clone3", "vfork")
# A launch may go on without the user's configuration if that must not stop the user's work.
REFUSALS: Final = {65, 69, 78}


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def taken(scene: Scene) -> list[Step]:
    """The steps of the runner in this scene."""
    scene.restore()
    return strace.of_the_runner(strace.runner(*COMMAND), demo("alice"))


@pytest.mark.parametrize(("name", "number", "count"), [("KILL", 9, 24), ("TERM", 15, 10), ("HUP", 1, 8)])
def test_a_runner_that_is_stopped_at_any_step(
    scene: Scene, capsys: pytest.CaptureFixture[str], name: str, number: int, count: int
) -> None:
    every = [step for step in strace.changing(taken(scene)) if step.name != "exit_group"]
    chosen = strace.sample(every, count)
    tell(capsys, name, chosen, every)
    begun = next(place for place, step in enumerate(every) if step.name in STARTS)

    def judge(step: Step, result: Result) -> None:
        assert b"Traceback" not in result.stderr
        # Once Pi runs, it may end by itself before it is told to.
        late = {0} if name != "KILL" and every.index(step) >= begun else set()
        assert result.status in {128 + number, 143 if name == "HUP" else 128 + number} | late

    at_each(chosen, f"signal={name}", scene, judge, dead=True)


# What a long session's runner does once Pi runs: it becomes the shell that waits, and then itself once more.
LONG: Final = ("exec", "bash", "-c", "sleep 1.6; echo ran")
RESIDENT: Final = {
    *("execve", "openat", "fcntl", "rt_sigaction", "poll", "ppoll", "pselect6", "select", "read", "write", "unlink"),
    *("rmdir", "wait4", "waitid", "clone", "clone3", "vfork", "sendto", "pidfd_send_signal"),
}


@pytest.mark.parametrize(("name", "number", "count"), [("KILL", 9, 8), ("TERM", 15, 5), ("HUP", 1, 3)])
def test_a_runner_that_is_stopped_as_it_becomes_the_shell_or_itself_again(
    scene: Scene, capsys: pytest.CaptureFixture[str], name: str, number: int, count: int
) -> None:
    scene.restore()
    command = strace.runner(*LONG)
    whole = strace.of_the_runner(command, demo("alice"))
    begun = next(place for place, step in enumerate(whole) if '/unfinished"' in step.text)
    every = [step for step in whole[begun:] if step.name in RESIDENT]
    chosen = strace.sample(every, count)
    tell(capsys, name, chosen, every)

    def judge(step: Step, result: Result) -> None:
        assert b"Traceback" not in result.stderr
        assert result.status in {
            128 + number,
            143 if name == "HUP" else 128 + number,
            *(() if name == "KILL" else (0,)),
        }
        assert result.status != 0 or result.stdout == b"ran\n"

    at_each(chosen, f"signal={name}", scene, judge, dead=True, command=command)


WRITES: Final = {"write", "mkdir", "mkdirat", "symlink", "symlinkat", "mknodat", "renameat", "sendfile"}
MOUNTS: Final = {"setns", "open_tree", "mount_setattr", "move_mount", "fsopen", "fsconfig", "fsmount"}
# What fails, how, and in how many steps at most.
ERRORS: Final = [
    ("ENOSPC", WRITES, 20),
    ("EROFS", {*WRITES, "unlinkat", "fchmod", "utimensat"}, 12),
    ("EIO", {*WRITES, "read", "openat", "getdents64", "readlink", "fstat", "newfstatat", "unlinkat", "flock"}, 24),
    ("EMFILE", {"openat", "pipe2", "socket", "pidfd_open", "open_tree", "fsopen", "fsmount", "memfd_create"}, 16),
    ("EAGAIN", {"clone", "clone3", "vfork"}, 6),
    ("EPERM", MOUNTS, 16),
    ("ENOMEM", MOUNTS, 10),
    ("EPERM", {"setgroups", "setresuid", "setresgid"}, 12),
]
CREATING: Final = {"ENOSPC", "EROFS"}
USERS: Final = ("/etc/nsswitch.conf", "/etc/passwd", "root:x:0:0:")


@pytest.mark.parametrize(("error", "names", "count"), ERRORS)
def test_a_runner_whose_calls_fail_at_any_step(
    scene: Scene, capsys: pytest.CaptureFixture[str], error: str, names: set[str], count: int
) -> None:
    def concerned(step: Step) -> bool:
        return step.name in names or (error in CREATING and step.name == "openat" and "O_CREAT" in step.text)

    whole = taken(scene)
    every = [step for step in whole if concerned(step)]
    chosen = strace.sample(every, count)
    tell(capsys, error, chosen, every)
    told = next(place for place, step in enumerate(whole) if '"started' in step.text)

    def judge(step: Step, result: Result) -> None:
        if result.status == 0:
            # Only calls that no safety and no data depend on may fail without effect.
            assert result.stdout == b"ran\n"
            return
        # On no machine is root refused a change of identity, so that is reported as a bug. If the user database cannot
        # be read, the C library reports that the user is not in it.
        others = {70} if step.name.startswith("set") else {77} if any(word in step.text for word in USERS) else set()
        assert result.status in REFUSALS | others
        # Pi may have written its output before the runner could no longer learn how it ended.
        assert result.stdout == b"" or (result.stdout == b"ran\n" and whole.index(step) > told)
        assert result.stderr.startswith(b"pi-probe: ") or result.stderr.startswith(b"pi: ")
        assert len(result.stderr.splitlines()) >= 2, "a refusal says what is wrong and what to do"

    at_each(chosen, f"error={error}", scene, judge)
