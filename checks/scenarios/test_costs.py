"""The cost of launches, in counts that do not depend on the machine's speed: modules, processes, system calls.

Lower a bound when something gets cheaper. Before you raise one, measure the cost.
"""

from __future__ import annotations

import re
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pexpect
import pytest
from support import launch_imports, policy_override, strace
from support.commands import Result, Word, as_user, on_machine
from support.installed import FACTS, demo, home, isolated, policy
from support.waiting import PATIENCE

# The highest number of system calls of a sync for each file and for each directory of the host's configuration:
# opening, looking (stat and its like), and all others except those for memory.
NOTHING_CHANGED: Final = {"a file": (0.0, 2.0, 0.0), "a directory": (2.0, 6.0, 16.0)}
ONE_IN_A_HUNDRED_CHANGED: Final = {"a file": (0.02, 2.03, 0.06)}
FIRST: Final = {"a file": (2.0, 4.0, 6.3), "a directory": (4.0, 6.0, 13.0)}
# Half of one call per changed file.
_SLACK: Final = 0.005

_FACTS: Final = FACTS["variants"][strace.VARIANT]
_OPENS: Final = {"open", "openat", "openat2", "creat"}
_LOOKS: Final = {"stat", "lstat", "fstat", "newfstatat", "statx", "access", "faccessat", "faccessat2"}
_MEMORY: Final = {"brk", "madvise", "mmap", "mprotect", "mremap", "munmap"}
# A call that strace itself interrupted goes on by this name (restart_syscall(2)).
_INTERRUPTED: Final = "restart_syscall"


# -- modules


def _python(program: Word, *options: str) -> list[Word]:
    """The interpreter of a built program, as its wrapper starts it. options: Python's."""
    script = policy_override.wrapped(program).read_text(encoding="utf-8")
    interpreter = script.partition("\n")[0].removeprefix("#!").strip()
    return ["env", "PYTHONNOUSERSITE=1", "PYTHONSAFEPATH=1", interpreter, *options]


def _watched(program: Word) -> list[Word]:
    return [*_python(program, "-X", "importtime"), policy_override.wrapped(program)]


def _imports_no_more(
    done: Result, program: Word, allowed: frozenset[str], needed: str = "pi_agent.policy.policy_file"
) -> None:
    bare = on_machine(*_python(program, "-X", "importtime", "-c", "pass")).stderr.decode()
    log = done.stderr.decode()
    assert needed in launch_imports.imported(log)
    new = launch_imports.strangers(log, bare, allowed)
    assert not new, "new on the way to every launch, and through whom:\n" + "\n".join(new)


@pytest.mark.parametrize(("directory", "status"), [("p/demo", 0), (".", 77)])
def test_a_launch_imports_what_it_is_allowed_to_and_no_more(directory: str, status: int) -> None:
    words = strace.runner("exec", "true")
    place = words.index(_FACTS["runner"])
    command = [*words[:place], *_watched(_FACTS["runner"]), *words[place + 1 :]]
    on_machine("env", "-C", demo("alice"), *words).ok()  # which has merged and copied what was new
    done = on_machine("env", "-C", home("alice") / directory, *command)
    assert done.status == status, done.complaint
    _imports_no_more(done, _FACTS["runner"], launch_imports.RUNNER)


def test_so_does_the_wrapper_that_refuses() -> None:
    done = as_user("alice", *_watched(_FACTS["wrapper"]), cwd=home("alice"))
    assert done.status == 77
    _imports_no_more(done, _FACTS["wrapper"], launch_imports.WRAPPER)


@pytest.mark.parametrize(("directory", "arguments"), [("p/demo", ("exec", "true")), (".", ("--version",))])
def test_the_wrapper_of_a_plain_launch_becomes_sudo_before_it_imports_anything_else(
    directory: str, arguments: Sequence[str]
) -> None:
    done = as_user("alice", *_watched(_FACTS["wrapper"]), *arguments, cwd=home("alice") / directory)
    assert done.status == 0, done.complaint
    _imports_no_more(done, _FACTS["wrapper"], launch_imports.WRAPPER_AT_ONCE, "pi_agent.cli.shortcut")


# -- processes


def _started(log: str) -> list[str]:
    """The programs in a log, in order; for systemctl with its verb."""
    found = re.findall(r'execve\("([^"]*)", \["[^"]*"(?:, "([^"]*)")?', log)
    names = [(path.rpartition("/")[2], first) for path, first in found]
    return [f"{name} {first}" if name == "systemctl" else name for name, first in names if name != "env"]


def _forks(log: str) -> int:
    """The number of processes created in a log. Threads do not count."""
    made = re.findall(r"^\d+ +(?:clone3?|v?fork)\((.*)", log, re.MULTILINE)
    return sum("CLONE_THREAD" not in rest for rest in made)


_PROCESSES: Final = ("-f", "-e", "trace=execve,execveat,clone,clone3,fork,vfork")
_RUNNER: Final = [Path(_FACTS["runner"]).name, f".{Path(_FACTS['runner']).name}-wrapped"]
_WRAPPER: Final = [Path(_FACTS["wrapper"]).name, f".{Path(_FACTS['wrapper']).name}-wrapped"]


@pytest.mark.parametrize(
    ("words", "directory", "status", "programs", "forks"),
    [
        # The guard, two user namespaces for the mapping of owners, systemd-run, and the one that sets limits.
        (("exec", "true"), "p/demo", 0, ["bash", "systemd-run"], 5),
        (("--version",), ".", 0, ["bash", "systemd-run"], 5),
        (("exec", "true"), ".", 77, [], 0),
    ],
)
def test_a_launch_starts_these_processes_and_no_other(
    words: Sequence[str], directory: str, status: int, programs: Sequence[str], forks: int
) -> None:
    result, log = strace.trace(_PROCESSES, strace.runner(*words), home("alice") / directory)
    assert result.status == status
    assert (_started(log), _forks(log)) == ([*_RUNNER, *programs], forks)


def test_nor_at_a_terminal(tmp_path: Path) -> None:
    command = ["-o", tmp_path / "log", "-s", "200", *_PROCESSES, *strace.runner("exec", "true")]
    screen = pexpect.spawn("strace", [str(word) for word in command], cwd=str(demo("alice")), timeout=PATIENCE)
    screen.expect(pexpect.EOF)
    screen.close()
    assert screen.exitstatus == 0
    log = (tmp_path / "log").read_text(encoding="utf-8", errors="replace")
    # The runner starts five, systemd-run none.
    assert (_started(log), _forks(log)) == ([*_RUNNER, "bash", "systemd-run"], 5)


@pytest.mark.parametrize(("directory", "status", "programs"), [("p/demo", 0, ["sudo"]), (".", 77, [])])
def test_the_wrapper_becomes_sudo_and_starts_nothing(directory: str, status: int, programs: Sequence[str]) -> None:
    # A program that strace starts as another user can still gain rights by setuid, as sudo must.
    options = ["-u", "alice", "-e", "trace=execve,clone,clone3,fork,vfork"]
    command = [_FACTS["wrapper"], "exec", "true"]
    result, log = strace.trace(options, command, home("alice") / directory)
    assert result.status == status, result.complaint
    assert _started(log) == [*_WRAPPER, *programs]
    by_wrapper = log.partition(f'execve("{FACTS["sudo"]}"')[0]
    assert not re.findall(r"^(?:clone3?|v?fork)\(", by_wrapper, re.MULTILINE)


# -- system calls


def _calls(command: Sequence[Word]) -> Counter[str]:
    """How often the runner itself makes each system call in a launch."""
    result, log = strace.trace(["-c"], command, demo("alice"), timeout=4 * PATIENCE)
    result.ok()
    rows = re.findall(r"^ *[\d.]+ +[\d.]+ +\d+ +(\d+)(?: +\d+)? +(\w+)$", log, re.MULTILINE)
    counts = Counter({name: int(number) for number, name in rows if name != "total"})
    assert counts["openat"] > 0
    return counts


def _grouped(counts: Mapping[str, int]) -> tuple[int, int, int]:
    opens = sum(counts.get(name, 0) for name in _OPENS)
    looks = sum(counts.get(name, 0) for name in _LOOKS)
    every = sum(number for name, number in counts.items() if name not in {*_MEMORY, _INTERRUPTED})
    return (opens, looks, every - opens - looks)


@dataclass(frozen=True, slots=True)
class _Size:
    """A configuration with this many files in this many directories."""

    files: int
    directories: int


_SMALL: Final = _Size(200, 20)
_MORE_FILES: Final = _Size(1200, 20)
_MORE_DIRECTORIES: Final = _Size(200, 120)


def _syncs(size: _Size) -> dict[str, tuple[int, int, int]]:
    """The calls of three launches: the first, one with nothing changed, and one with a file in a hundred changed."""
    top = home("alice") / ".pi/agent/skills"
    for tree in (top, *strace.own_tree()):
        if tree.exists():
            shutil.rmtree(tree)
    paths = [top / f"skill-{number % size.directories}" / f"{number}.md" for number in range(size.files)]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("text", encoding="utf-8")
    on_machine("chown", "-R", "alice:", top).ok()
    command = strace.runner("exec", "true")
    found = {"first": _grouped(_calls(command))}
    found["nothing"] = _grouped(_calls(command))
    for path in paths[::100]:
        path.write_text("another text", encoding="utf-8")
    found["some"] = _grouped(_calls(command))
    copied = isolated("alice", "skills", strace.VARIANT)
    assert sum(1 for path in copied.rglob("*.md") if path.read_text() == "another text") == len(paths[::100])
    assert sum(1 for _ in copied.rglob("*.md")) == size.files
    return found


def _slopes(few: Sequence[int], many: Sequence[int], more: int) -> tuple[float, ...]:
    return tuple((b - a) / more for a, b in zip(few, many, strict=True))


def _beyond_bounds(capsys: pytest.CaptureFixture[str]) -> Sequence[object]:
    """The syncs that exceed a bound: the slopes found, and the bounds."""
    small, files, directories = _syncs(_SMALL), _syncs(_MORE_FILES), _syncs(_MORE_DIRECTORIES)
    larger = {"a file": (files, _MORE_FILES.files - _SMALL.files)}
    larger["a directory"] = (directories, _MORE_DIRECTORIES.directories - _SMALL.directories)
    wrong = []
    for kind, bounds in (("nothing", NOTHING_CHANGED), ("some", ONE_IN_A_HUNDRED_CHANGED), ("first", FIRST)):
        for what, bound in bounds.items():
            many, more = larger[what]
            found = _slopes(small[kind], many[kind], more)
            with capsys.disabled():
                print(f"[{kind}, {what}: {found}] ", end="", flush=True)
            if any(a > b + _SLACK for a, b in zip(found, bound, strict=True)):
                wrong.append((kind, what, found, bound))
    return wrong


def test_a_sync_asks_the_kernel_no_more_for_each_file_and_directory(capsys: pytest.CaptureFixture[str]) -> None:
    # One launch may wait longer than another; but the cost of a file or a directory is the same each time.
    wrong = _beyond_bounds(capsys) and _beyond_bounds(capsys)
    assert not wrong, "opening, looking, all else: found, and at most"


def test_a_launch_asks_the_kernel_the_same_however_many_others_the_policy_has(tmp_path: Path) -> None:
    counted = []
    for users in (0, 1000):
        place = tmp_path / str(users)
        place.mkdir()
        command = strace.under_policy(
            policy_override.crowded(policy(strace.VARIANT), users, ["/srv/none"]), strace.runner("exec", "true"), place
        )
        _calls(command)  # the first launch makes the isolated state
        found = _calls(command)
        counted.append({name: number for name, number in found.items() if name not in {*_MEMORY, _INTERRUPTED}})
    assert counted[0] == counted[1]
