"""The other processes of a launch, stopped at any step: wrapper and sudo, guard, systemd-run, and those of the unit."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from support import strace
from support.commands import Result
from support.fault_scenes import COMMAND, Scene, at_each, check_aftermath, tell
from support.installed import FACTS, demo, policy
from support.processes import ours
from support.sessions import IDLE, session
from support.strace import Step
from support.waiting import CLEAN_WITHIN, until

Capture = pytest.CaptureFixture[str]
WRAPPER = FACTS["variants"][strace.VARIANT]["wrapper"]


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


@pytest.mark.parametrize(
    ("name", "statuses", "count"), [("KILL", {137}, 16), ("TERM", {143}, 8), ("HUP", {129, 143}, 6)]
)
def test_wrapper_and_sudo(scene: Scene, capsys: Capture, name: str, statuses: set[int], count: int) -> None:
    """One process, which becomes sudo, up to its wait for the runner. The session would last much longer."""
    options = ["-u", "alice"]
    result, log = strace.trace(options, [WRAPPER, *COMMAND], demo("alice"))
    result.ok()
    [every] = strace.calls(log).values()
    last = max(place for place, step in enumerate(every) if step.name in ("clone", "clone3", "fork", "vfork"))
    names = {
        "execve",
        "clone",
        "clone3",
        "fork",
        "vfork",
        "pipe2",
        "socketpair",
        "connect",
        "setresuid",
        "poll",
        "ppoll",
    }
    every = [step for step in every[:last] if step.name in names]
    chosen = strace.sample(every, count)
    tell(capsys, f"sudo, {name}", chosen, every)

    def judge(_: Step, result: Result) -> None:
        assert result.status in statuses
        assert (result.stdout, b"Traceback" in result.stderr) == (b"", False)

    at_each(
        chosen, f"signal={name}", scene, judge, dead=True, options=options, command=[WRAPPER, "exec", "sleep", "60"]
    )


def test_systemd_run(scene: Scene, capsys: Capture) -> None:
    command = strace.runner(*COMMAND)
    mark = 'execve("' + policy(strace.VARIANT)["tools"]["systemd-run"]
    every, *others = (strace.peculiar(command, demo("alice"), mark) for _ in range(3))
    # The number of waits and reads varies. Use those that every launch has.
    always = set.intersection(*({(step.name, step.number) for step in other} for other in others))
    every = [step for step in every if (step.name, step.number) in always]
    every = [step for step in every if step.name not in ("execve", "exit_group")]
    chosen = strace.sample(every, 12)
    tell(capsys, "systemd-run, KILL", chosen, every)

    def judge(_: Step, result: Result) -> None:
        # Its work may have been done, or Pi has ended meanwhile. Otherwise Pi is stopped.
        assert result.status in {0, 69, 137, 143}
        assert (result.status == 69) == (b"systemd did not start the session" in result.stderr)
        assert result.status != 0 or result.stdout == b"ran\n"

    at_each(chosen, "signal=KILL", scene, judge, options=["-f"])


@pytest.mark.parametrize("fault", ["signal=KILL", "error=EIO", "error=EBUSY"])
def test_the_guard_while_it_cleans_up_after_a_killed_runner(scene: Scene, capsys: Capture, fault: str) -> None:
    """The next launch does the guard's work."""
    with session("alice", "pi-probe", *IDLE):
        [guard] = ours()["guard"]
        with strace.attached(guard.pid, []) as log:
            _kill_runner()
            until(lambda: not guard.there(), "the guard has ended")
            text = log.read_text()
    [every] = strace.calls(text).values()
    names = {"execve", "openat", "flock", "getdents64", "unlink", "rmdir", "clone3", "vfork", "wait4", "pwrite64"}
    every = [step for step in every if step.name in names]
    # Only a signal ends a guard in the middle of a call that cannot fail.
    every = [step for step in every if fault == "signal=KILL" or step.name not in ("execve", "wait4")]
    chosen = strace.sample(every, 12)
    tell(capsys, f"guard, {fault}", chosen, every)
    wrong = []
    for step in chosen:
        scene.restore()
        with session("alice", "pi-probe", *IDLE) as running:
            [guard] = ours()["guard"]
            with strace.attached(guard.pid, strace.injection(step, fault)) as log:
                _kill_runner()
                until(lambda guard=guard: not guard.there(), "the guard has ended")  # type: ignore[misc]
                hit = strace.came_about(log.read_text())
            status = running.client.wait(CLEAN_WITHIN)
        try:
            assert hit, "the fault did not come about"
            assert status in {137, -9}
            strace.trace([], strace.runner("exec", "true"), demo("alice"))
            check_aftermath()
        except AssertionError as error:
            wrong.append(f"{fault} at {step}\n    {error}")
            strace.trace([], strace.runner("exec", "true"), demo("alice"))
    assert not wrong, "\n".join(wrong)


def _kill_runner() -> None:
    [runner] = ours()["runner"]
    runner.kill(signal.SIGKILL)


@pytest.mark.parametrize("name", ["KILL", "TERM", "HUP"])
@pytest.mark.parametrize("number", [1, 2, 3])
def test_the_unit_as_it_becomes_the_first_program_and_then_pi(scene: Scene, name: str, number: int) -> None:
    """Systemd's child becomes its own helper (1), setpriv (2), the launcher (3); the launcher's becomes Pi (1)."""
    scene.restore()
    step = Step("execve", number, "execve")
    with strace.attached(1, ["-f", *strace.injection(step, f"signal={name}")]) as log:
        result, _ = strace.trace([], strace.runner("exec", "sleep", "60"), demo("alice"))
        hit = strace.came_about(log.read_text())
    assert hit
    assert result.status in {69, 129, 137, 143}
    assert b"Traceback" not in result.stderr
    until(lambda: "\nTracerPid:\t0\n" in Path("/proc/1/status").read_text(), "systemd is on its own again")
    check_aftermath()
