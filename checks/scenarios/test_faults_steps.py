"""A launch that is stopped at any step, or whose call to the kernel fails at any step, leaves no trace and no damage.

The isolated state has something to lose, and the host's configuration something new to bring: so every launch writes.
Afterwards each file is as it was or as it was to be, and the next launch completes the work.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import pytest

from scenarios import steps
from scenarios.guest import Json, Result, Word, as_user, assert_clean, demo, home, inside, isolated
from scenarios.steps import Step, Struck

COMMAND: Final = ("exec", "bash", "-c", "echo ran")
SESSION: Final = b'{"role":"user","content":"what must not be lost"}\n' * 2000
OLD: Final[dict[str, Json]] = {
    "settings.json": {"a": 1, "chosen": "inside", "theme": "light"},
    "auth.json": {"one": {"key": "h1"}, "mine": {"key": "i1"}},
}
NEW: Final[dict[str, Json]] = {
    "settings.json": {"a": 2, "chosen": "inside", "b": [1], "theme": "light"},
    "auth.json": {"one": {"key": "h2"}, "mine": {"key": "i1"}},
}
# How a process is started whose program is another (posix_spawn(3)).
STARTS: Final = ("clone3", "vfork")
# How often a step is tried that some launches do not take.
TRIES: Final = 8
# Where the user's configuration must not stop somebody from working, a launch may go on without.
REFUSALS: Final = {65, 69, 78}


def host(name: str, content: str) -> None:
    path = home("alice") / ".pi/agent" / name
    as_user("alice", "sh", "-c", 'mkdir -p "${1%/*}" && cat >"$1"', "sh", path, stdin=content.encode()).ok()


class Scene:
    """alice's state with something to lose; `restore` brings it back to how it was before a launch."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        host("settings.json", '{"a": 1}')
        host("auth.json", '{"one": {"key": "h1"}}')
        host("skills/one/SKILL.md", "old")
        inside("true").ok()
        script = (
            'cd "$PI_CODING_AGENT_DIR"; mkdir -p sessions/x; cat >sessions/x/1.jsonl; echo own >trust.json;'
            "python3 -c 'import json\n"
            'for name, key, value in (("settings", "chosen", "inside"), ("auth", "mine", {"key": "i1"})):\n'
            '    s = json.load(open(f"{name}.json")); s[key] = value; json.dump(s, open(f"{name}.json", "w"))\''
        )
        inside(script, stdin=SESSION).ok()
        inside("true").ok()
        host("settings.json", '{"a": 2, "b": [1]}')
        host("auth.json", '{"one": {"key": "h2"}}')
        host("skills/one/SKILL.md", "new")
        host("skills/two/SKILL.md", "new")
        for number, tree in enumerate(steps.own_tree()):
            subprocess.run(["cp", "--archive", tree, folder / str(number)], check=True)

    def restore(self) -> None:
        for number, tree in enumerate(steps.own_tree()):
            shutil.rmtree(tree)
            subprocess.run(["cp", "--archive", self._folder / str(number), tree], check=True)


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def check_state(allowed: Sequence[dict[str, Json]]) -> None:
    """What Pi keeps is there to the last byte; each document is one of its allowed versions, whole."""
    for name in NEW:
        found = json.loads(isolated("alice", name, steps.VARIANT).read_text(encoding="utf-8"))
        assert found in [version[name] for version in allowed], f"{name}: {found}"
    assert isolated("alice", "sessions/x/1.jsonl", steps.VARIANT).read_bytes() == SESSION
    assert isolated("alice", "trust.json", steps.VARIANT).read_text() == "own\n"
    # What is the host's follows the host: what could not be read there may be missing until it can.
    skill = isolated("alice", "skills/one/SKILL.md", steps.VARIANT)
    found = skill.read_text() if skill.exists() else ""
    assert found in (["new"] if OLD not in allowed else ["old", "new", ""]), f"torn: {found!r}"


def check_aftermath(*, dead: bool = False, spared: str = "") -> None:
    """No trace, no damage, and the next launch completes what this one could not. dead: it could not tidy up. spared:
    what the call that failed was to remove."""
    assert_clean()
    check_state([OLD, NEW])
    if not dead:
        left = [path for path in steps.debris() if f'"{path.name}"' not in spared]
        assert not left, "a launch that ends by itself takes its temporary files with it"
    result, _ = steps.trace([], steps.runner(*COMMAND), demo("alice"))
    assert (result.status, result.stdout, result.stderr) == (0, b"ran\n", b""), f"the next launch: {result}"
    check_state([NEW])
    assert not steps.debris()
    assert_clean()


def at_each(
    chosen: Sequence[Step],
    fault: str,
    scene: Scene,
    judge: Callable[[Step, Result], None],
    *,
    dead: bool = False,
    options: Sequence[str] = (),
    command: Sequence[Word] = (),
) -> None:
    """Launch once for each chosen step with a fault there; judge how it ended, then look at what it left.

    options: strace's. command: instead of the runner.
    """
    wrong = []
    for step in chosen:
        struck = strike(step, fault, scene, options, command)
        try:
            assert struck.hit, "the fault did not come about"
            judge(step, struck.result)
            removing = step.name == "unlinkat" and fault.startswith("error=")
            check_aftermath(dead=dead, spared=step.text if removing else "")
        except AssertionError as error:
            wrong.append(f"{fault} at {step}\n    {error}\n    {struck.result}")
            steps.trace([], steps.runner("exec", "true"), demo("alice"))  # which sweeps
    assert not wrong, f"{len(wrong)} of {len(chosen)} steps:\n" + "\n".join(wrong)


def strike(step: Step, fault: str, scene: Scene, options: Sequence[str], command: Sequence[Word]) -> Struck:
    """A launch with a fault at a step, from the scene's beginning. Where launches do not always come so far, as when
    systemd is asked again, several are tried."""
    for _ in range(TRIES):
        scene.restore()
        struck = steps.strike(step, fault, command or steps.runner(*COMMAND), demo("alice"), options)
        if struck.hit:
            break
        struck.result.ok()
        assert_clean()
    return struck


def tell(capsys: pytest.CaptureFixture[str], what: str, chosen: Sequence[Step], among: Sequence[Step]) -> None:
    with capsys.disabled():
        print(f"[{what}: {len(chosen)} of {len(among)} steps] ", end="", flush=True)


def taken(scene: Scene) -> list[Step]:
    """The steps of the runner in this scene."""
    scene.restore()
    return steps.of_the_runner(steps.runner(*COMMAND), demo("alice"))


@pytest.mark.parametrize(("name", "number", "count"), [("KILL", 9, 24), ("TERM", 15, 10), ("HUP", 1, 8)])
def test_a_runner_that_is_stopped_at_any_step(
    scene: Scene, capsys: pytest.CaptureFixture[str], name: str, number: int, count: int
) -> None:
    every = [step for step in steps.changing(taken(scene)) if step.name != "exit_group"]
    chosen = steps.sample(every, count)
    tell(capsys, name, chosen, every)
    begun = next(place for place, step in enumerate(every) if step.name in STARTS)

    def judge(step: Step, result: Result) -> None:
        assert b"Traceback" not in result.stderr
        # Once Pi runs, it may have ended by itself before it was told to.
        late = {0} if name != "KILL" and every.index(step) >= begun else set()
        assert result.status in {128 + number, 143 if name == "HUP" else 128 + number} | late

    at_each(chosen, f"signal={name}", scene, judge, dead=True)


WRITES: Final = {"write", "mkdir", "mkdirat", "symlink", "symlinkat", "mknodat", "renameat", "sendfile"}
MOUNTS: Final = {"open_tree", "mount_setattr", "move_mount", "fsopen", "fsconfig", "fsmount"}
# What fails, how, in how many steps at most.
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
    chosen = steps.sample(every, count)
    tell(capsys, error, chosen, every)
    told = next(place for place, step in enumerate(whole) if '"started' in step.text)

    def judge(step: Step, result: Result) -> None:
        if result.status == 0:
            # Only what nobody's safety or data hangs on may fail and be gone without.
            assert result.stdout == b"ran\n"
            return
        # That root may not become somebody else happens on no machine; then it is a bug to be told. And of a database
        # of users that cannot be read the C library says that the user is not in it.
        others = {70} if step.name.startswith("set") else {77} if any(word in step.text for word in USERS) else set()
        assert result.status in REFUSALS | others
        # Pi may have had its say before the runner could no longer learn how it ended.
        assert result.stdout == b"" or (result.stdout == b"ran\n" and whole.index(step) > told)
        assert result.stderr.startswith(b"pi-probe: ") or result.stderr.startswith(b"pi: ")
        assert len(result.stderr.splitlines()) >= 2, "a refusal says what is wrong and what to do"

    at_each(chosen, f"error={error}", scene, judge)
