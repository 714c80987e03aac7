"""Nothing hides a file that runs by itself: random trees of a hostile agent, with one such file planted in them.

Wherever it is planted, the look names it, or says first that it could not see everything.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pi_agent.sandbox.self_running import seeing
from tests.support.left_behind import Left
from tests.support.trees import put

# Names that mean something to the look, that look like these, or that are awkward.
_NAMES: Final = [
    *("a", "b", "src", "vendor", "node_modules", "objects", "refs", "hooks", "modules", "worktrees", "target"),
    *(".git", ".GIT", ".g\u200cit", ".vscode", ".VSCode", ".config", ".mise", ".direnv", ".husky", ".cargo", ".local"),
    *("config", "commondir", "HEAD", "gitdir", "x.sample", "x.disarmed-1234567890123456", ".envrc.disarmed-1"),
    *("a\nb", "\u202egnp.exe", "\x1b[2J", "\udcff", "ü" * 100, "n" * 255, " ", "-rf", "*"),
]
_MODES: Final = [0o755, 0o700, 0o311, 0o100, 0o000, 0o1777]
_TARGETS: Final = [
    "..",
    ".",
    "../..",
    "/nowhere",
    "/proc/self/cwd",
    "a",
    "../b",
    "nowhere",
    ".git",
    "../.vscode",
]
_NAME = st.sampled_from(_NAMES)
_PATH = st.lists(_NAME, min_size=1, max_size=5)

Step = tuple[str, list[str], int]
_STEP: st.SearchStrategy[Step] = st.tuples(
    st.sampled_from(["directory", "file", "link", "fifo", "sparse", "many", "mode", "hard link", "move", "remove"]),
    _PATH,
    st.integers(0, 9),
)


def directory(root: Path, names: list[str]) -> Path:
    """The directory, made as far as what stands in its way is moved: no link is followed."""
    here = root
    for name in names:
        here = here / name
        if here.is_symlink() or (here.exists() and not here.is_dir()):
            here.unlink()
        here.mkdir(exist_ok=True)
    return here


def act(root: Path, step: Step) -> None:
    """Do a step of the agent's, if it can be done."""
    kind, names, number = step
    with suppress(OSError):
        place = directory(root, names[:-1]) / names[-1]
        if place.is_symlink() or place.is_fifo():  # nothing outside is to change, and opening a pipe waits
            place.unlink()
        if kind == "directory":
            place.mkdir()
        elif kind == "file":
            place.write_bytes(b"x" * number)
        elif kind == "link":
            place.symlink_to(_TARGETS[number])
        elif kind == "fifo":
            os.mkfifo(place)
        elif kind == "sparse":
            place.touch()
            os.truncate(place, 1 << 40)
        elif kind == "many":
            for each in range(30 * number):
                (place.parent / f"{number}-{each}").touch()
        elif kind == "mode":
            place.chmod(_MODES[number % len(_MODES)])
        elif kind == "hard link":
            for path in [path for path in root.iterdir() if path.is_file()][:1]:
                os.link(path, place, follow_symlinks=False)
        elif kind == "move":
            place.rename(root / _NAMES[number])
        else:
            shutil.rmtree(place, ignore_errors=True)


def _armed(text: str = "") -> str:
    return f"[core]\nrepositoryformatversion = 0\n{text}\tfsmonitor = ./evil\n"


def _envrc(at: Path) -> Path:
    return at / ".envrc"


def _repository(at: Path) -> Path:
    for name in (".git/objects", ".git/refs"):
        (at / name).mkdir(parents=True, exist_ok=True)
    return at / ".git/config"


def _bare(at: Path) -> Path:
    for name in ("objects", "refs"):
        (at / name).mkdir(exist_ok=True)
    return at / "config"


def _hook(at: Path) -> Path:
    _repository(at)
    (at / ".git/hooks").mkdir(exist_ok=True)
    return at / ".git/hooks/pre-commit"


def _pointer(at: Path) -> Path:
    return at / ".git"


def _task(at: Path) -> Path:
    (at / ".vscode").mkdir(exist_ok=True)
    return at / ".vscode/tasks.json"


_PLANTS: Final[list[tuple[Callable[[Path], Path], str]]] = [
    (_envrc, "evil"),
    (_repository, _armed()),
    (_bare, _armed("; \\\n")),
    (_hook, "#!/bin/sh\nevil\n"),
    (_pointer, "gitdir: /tmp/evil.git\n"),
    (_task, "{}"),
]


def remove(place: Path) -> None:
    """Remove what is there, a link itself."""
    if place.is_dir() and not place.is_symlink():
        shutil.rmtree(place)
    else:
        place.unlink(missing_ok=True)


def clear(at: Path, whole: tuple[str, ...]) -> None:
    """Remove what stands where something is to be planted. whole: names that are removed whatever they are."""
    for name in (".git", ".git/objects", ".git/refs", ".git/hooks", ".vscode", "objects", "refs"):
        if not (at / name).is_dir() or (at / name).is_symlink() or name in whole:
            remove(at / name)


@contextmanager
def covered(root: Path, names: list[str]) -> Iterator[None]:
    """Something mounted over a directory on the host, as far as we can mount."""
    place = root / names[0]
    mounted = False
    if os.geteuid() == 0 and place.is_dir() and not place.is_symlink():
        mounted = subprocess.run(["mount", "-t", "tmpfs", "tmpfs", place], check=False).returncode == 0
    try:
        yield
    finally:
        if mounted:
            subprocess.run(["umount", place], check=True)


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(_STEP, max_size=12),
    st.lists(_STEP, max_size=12),
    st.tuples(_PATH, _PATH),
    st.integers(0, len(_PLANTS) - 1),
    st.sampled_from(_MODES),
)
def test_a_planted_file_is_told_wherever_it_is(
    before: list[Step], after: list[Step], places: tuple[list[str], list[str]], kind: int, mode: int
) -> None:
    names, over = places
    with TemporaryDirectory(dir="/tmp") as top:
        left = Left(Path(top))
        view = seeing.opened(left.project.descriptor)
        inside = Path(f"/proc/self/fd/{view}")  # as the agent sees it: without what is mounted below
        for step in before:
            act(inside, step)
        with covered(left.root, over):
            record = left.before()
            for step in after:
                act(inside, step)
            at = directory(inside, names)
            place, content = _PLANTS[kind]
            clear(at, (".git",) if place is _pointer else (".git/hooks",))
            planted = place(at)
            remove(planted)
            put(planted, content)
            planted.parent.chmod(mode)
            found = left.after(record)
        assert found is not None
        told = {path for item in found.items for path in (item.path, item.real)}
        assert str(planted.relative_to(inside)) in told or found.unseen
        for descriptor in (left.project.descriptor, view):
            os.close(descriptor)
        for folder, directories, _ in os.walk(left.root):
            for name in directories:
                if not Path(folder, name).is_symlink():
                    Path(folder, name).chmod(0o700)
