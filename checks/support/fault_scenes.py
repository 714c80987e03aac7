"""Launches with a fault at one step, and the states that each may leave: the old one or the new one."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import pytest

from support import strace
from support.commands import Result, Word, as_user, inside
from support.installed import Json, demo, home, isolated
from support.leftovers import assert_clean
from support.strace import Step, Struck

COMMAND: Final = ("exec", "bash", "-c", "echo ran")
SESSION: Final = b'{"role":"user","content":"what must not be lost"}\n' * 2000
OLD: Final[dict[str, Json]] = {
    "settings.json": {"a": 1, "tuiMode": "inside", "theme": "light"},
    "auth.json": {"one": {"key": "h1"}, "mine": {"key": "i1"}},
}
NEW: Final[dict[str, Json]] = {
    "settings.json": {"a": 2, "tuiMode": "inside", "b": [1], "theme": "light"},
    "auth.json": {"one": {"key": "h2"}, "mine": {"key": "i1"}},
}
# How often to try a step that not every launch takes.
TRIES: Final = 8


def host(name: str, content: str) -> None:
    """Write a file of alice's Pi configuration."""
    path = home("alice") / ".pi/agent" / name
    as_user("alice", "sh", "-c", 'mkdir -p "${1%/*}" && cat >"$1"', "sh", path, stdin=content.encode()).ok()


class Scene:
    """alice's state, with something to lose. `restore` brings it back to its state before a launch."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        host("settings.json", '{"a": 1}')
        host("auth.json", '{"one": {"key": "h1"}}')
        host("skills/one/SKILL.md", "old")
        inside("true").ok()
        script = (
            'cd "$PI_CODING_AGENT_DIR"; mkdir -p sessions/x; cat >sessions/x/1.jsonl; echo own >crashes.json;'
            "python3 -c 'import json\n"
            'for name, key, value in (("settings", "tuiMode", "inside"), ("auth", "mine", {"key": "i1"})):\n'
            '    s = json.load(open(f"{name}.json")); s[key] = value; json.dump(s, open(f"{name}.json", "w"))\''
        )
        inside(script, stdin=SESSION).ok()
        inside("true").ok()
        host("settings.json", '{"a": 2, "b": [1]}')
        host("auth.json", '{"one": {"key": "h2"}}')
        host("skills/one/SKILL.md", "new")
        host("skills/two/SKILL.md", "new")
        for number, tree in enumerate(strace.own_tree()):
            subprocess.run(["cp", "--archive", tree, folder / str(number)], check=True)

    def restore(self) -> None:
        for number, tree in enumerate(strace.own_tree()):
            shutil.rmtree(tree)
            subprocess.run(["cp", "--archive", self._folder / str(number), tree], check=True)


def check_state(allowed: Sequence[dict[str, Json]]) -> None:
    """Check that what Pi keeps is unchanged, and that each document is one of its allowed versions, complete."""
    for name in NEW:
        found = json.loads(isolated("alice", name, strace.VARIANT).read_text(encoding="utf-8"))
        assert found in [version[name] for version in allowed], f"{name}: {found}"
    assert isolated("alice", "sessions/x/1.jsonl", strace.VARIANT).read_bytes() == SESSION
    assert isolated("alice", "crashes.json", strace.VARIANT).read_text() == "own\n"
    # The host's files follow the host. A file that could not be read may be missing until it can.
    skill = isolated("alice", "skills/one/SKILL.md", strace.VARIANT)
    found = skill.read_text() if skill.exists() else ""
    assert found in (["new"] if OLD not in allowed else ["old", "new", ""]), f"torn: {found!r}"


def check_aftermath(*, dead: bool = False, spared: str = "") -> None:
    """Check that there is no trace and no damage, and that the next launch completes what this one could not.

    dead: the launch could not clean up. spared: what the failed call was to remove.
    """
    assert_clean()
    check_state([OLD, NEW])
    if not dead:
        left = [path for path in strace.debris() if f'"{path.name}"' not in spared]
        assert not left, "a launch that ends by itself takes its temporary files with it"
    result, _ = strace.trace([], strace.runner(*COMMAND), demo("alice"))
    assert (result.status, result.stdout, result.stderr) == (0, b"ran\n", b""), f"the next launch: {result}"
    check_state([NEW])
    assert not strace.debris()
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
    """Launch once for each chosen step, with a fault there. Judge how it ended, then check what it left.

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
            strace.trace([], strace.runner("exec", "true"), demo("alice"))  # which sweeps
    assert not wrong, f"{len(wrong)} of {len(chosen)} steps:\n" + "\n".join(wrong)


def strike(step: Step, fault: str, scene: Scene, options: Sequence[str], command: Sequence[Word]) -> Struck:
    """Launch with a fault at a step, from the scene's beginning.

    Not every launch gets that far, for example if systemd must be asked again; then several are tried.
    """
    for _ in range(TRIES):
        scene.restore()
        struck = strace.strike(step, fault, command or strace.runner(*COMMAND), demo("alice"), options)
        if struck.hit:
            break
        struck.result.ok()
        assert_clean()
    return struck


def tell(capsys: pytest.CaptureFixture[str], what: str, chosen: Sequence[Step], among: Sequence[Step]) -> None:
    with capsys.disabled():
        print(f"[{what}: {len(chosen)} of {len(among)} steps] ", end="", flush=True)
