"""Faults at a chosen step of a launch: the system calls it makes, one after the other.

strace(1) first watches a launch and yields its steps. The launch then runs again and again, each time with one fault at
one step: a signal as the call begins, or an error instead of the call's effect. The product contains no code for this.
strace starts the runner as sudo would: as root, with sudo's variables, in the user's project.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pexpect

from support import policy_override
from support.commands import Result, Word
from support.installed import FACTS, Json, demo, memory, state
from support.waiting import PATIENCE, until

VARIANT: Final = "pi-probe"
# strace's output for a call. In a log of several processes, the process id comes first.
_CALL: Final = re.compile(r"^(?:(?P<pid>\d+) +)?(?P<name>\w+)\((?P<rest>.*)$")
_INJECTED: Final = re.compile(r"\(INJECTED|^(?:\d+ +)?--- SIG(?!CHLD)\w+ .*SI_(?:USER|TKILL|QUEUE)|killed by SIG")
# Set to test every step instead of a sample: minutes become an hour.
ALL_STEPS: Final = "PI_AGENT_ALL_STEPS"


@dataclass(frozen=True, slots=True)
class Step:
    """The number-th call of that name by one process of a launch. text: strace's output for it."""

    name: str
    number: int
    text: str

    def __str__(self) -> str:
        return f"{self.name} {self.number}: {self.text[:100]}"


@dataclass(frozen=True, slots=True)
class Struck:
    """A launch with a fault: how it ended, and whether the fault occurred."""

    result: Result
    hit: bool


def runner(*arguments: Word, user: str = "alice") -> list[Word]:
    """The runner as sudo starts it for a user."""
    home = demo(user).stat()
    variables = (f"SUDO_UID={home.st_uid}", f"SUDO_GID={home.st_gid}", f"SUDO_USER={user}", "TERM=dumb")
    path = "PATH=/run/current-system/sw/bin:/usr/bin:/bin"
    return ["env", "-i", path, "LANG=C.UTF-8", *variables, FACTS["variants"][VARIANT]["runner"], *arguments]


def under_policy(value: Json, command: Sequence[Word], place: Path) -> list[Word]:
    """The command of `runner`, with a copy of the runner, in the empty directory place, that has another policy."""
    facts = FACTS["variants"][VARIANT]
    program = policy_override.under(facts, "runner", place, value)
    return [program if word == facts["runner"] else word for word in command]


def trace(options: Sequence[str], command: Sequence[Word], cwd: Path, timeout: float = PATIENCE) -> tuple[Result, str]:
    """Run command under strace in the directory cwd. Returns its result and strace's log."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder, "log")
        words: list[Word] = ["strace", "-s", "200", "-o", log, *options, *command]
        done = subprocess.run(
            words, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=timeout, cwd=cwd
        )
        status = done.returncode if done.returncode >= 0 else 128 - done.returncode
        return Result(status, done.stdout, done.stderr), log.read_text(encoding="utf-8", errors="replace")


def at_terminal(options: Sequence[str], command: Sequence[Word], cwd: Path) -> pexpect.spawn:
    """Run command under strace in the directory cwd, on a new terminal."""
    words = [os.fsdecode(word) for word in ("-o", "/dev/null", *options, *command)]
    return pexpect.spawn("strace", words, cwd=os.fspath(cwd), timeout=PATIENCE)


def calls(log: str) -> dict[str, list[Step]]:
    """The calls in a log, in order, by process id ("" if there is only one process).

    The very first call, by which strace's child becomes the command, is left out: strace neither strikes nor counts it.
    """
    found: dict[str, list[Step]] = {}
    counts: Counter[tuple[str, str]] = Counter()
    for place, line in enumerate(log.splitlines()):
        if match := _CALL.match(line):
            pid, name = match["pid"] or "", match["name"]
            if not place and name == "execve":
                continue
            counts[pid, name] += 1
            found.setdefault(pid, []).append(Step(name, counts[pid, name], f"{name}({match['rest']}"))
    return found


def of_the_runner(command: Sequence[Word], cwd: Path) -> list[Step]:
    """The steps of the runner's own process, from the reading of the policy on."""
    result, log = trace([], command, cwd)
    result.ok()
    [found] = calls(log).values()
    begin = next(place for place, step in enumerate(found) if FACTS["variants"][VARIANT]["policy"] in step.text)
    return found[begin:]


def peculiar(command: Sequence[Word], cwd: Path, mark: str) -> list[Step]:
    """The steps that only one process of a launch takes: the one in whose calls mark appears.

    Calls that other processes make too are left out: strace counts the calls of each process separately, so a fault
    would strike the others too.
    """
    result, log = trace(["-f"], command, cwd)
    result.ok()
    by_process = calls(log)
    [own] = [pid for pid, steps in by_process.items() if any(mark in step.text for step in steps)]
    others = {step.name for pid, steps in by_process.items() if pid != own for step in steps}
    return [step for step in by_process[own] if step.name not in others]


def slow(name: str, number: int) -> list[str]:
    """strace's options to make the number-th call of that name slow enough for progress to be shown."""
    return ["-e", f"trace={name}", "-e", f"inject={name}:delay_enter=1200000:when={number}"]


def injection(step: Step, fault: str) -> list[str]:
    """strace's options for a fault, in strace's words, at a step."""
    return ["-e", f"trace={step.name}", "-e", f"inject={step.name}:{fault}:when={step.number}"]


def came_about(log: str) -> bool:
    """Whether strace's log reports a fault."""
    return any(_INJECTED.search(line) for line in log.splitlines())


def strike(step: Step, fault: str, command: Sequence[Word], cwd: Path, options: Sequence[str] = ()) -> Struck:
    """Run command with a fault at a step. options: strace's; `-f` also strikes processes that it starts."""
    result, log = trace([*options, *injection(step, fault)], command, cwd)
    # strace does not report a signal that is ignored there, as all are once the session has ended.
    reached = any(len(made) >= step.number for made in calls(log).values())
    return Struck(result, came_about(log) or ("signal=" in fault and reached))


@contextmanager
def attached(pid: int, options: Sequence[str]) -> Iterator[Path]:
    """Attach strace to a running process. Yields the log's path."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder, "log")
        words = ["strace", "-s", "200", "-o", os.fspath(log), *options, "-p", str(pid)]
        with subprocess.Popen(words, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as tracer:
            status = Path(f"/proc/{pid}/status")
            until(lambda: "\nTracerPid:\t0\n" not in status.read_text(encoding="utf-8"), "strace is there")
            try:
                yield log
            finally:
                tracer.terminate()


def changing(steps: Iterable[Step]) -> list[Step]:
    """The steps that create, change or start something, or wait for it. Each is a point at which to stop the launch."""
    names = {
        *(
            "mkdir",
            "mkdirat",
            "symlink",
            "symlinkat",
            "mknodat",
            "renameat",
            "renameat2",
            "rename",
            "unlink",
            "unlinkat",
        ),
        *("rmdir", "fchmod", "utimensat", "sendfile", "write", "flock", "clone", "clone3", "vfork", "fork", "wait4"),
        *("pipe2", "pidfd_open", "open_tree", "fsopen", "fsmount", "mount_setattr", "move_mount", "kill", "sendto"),
        *("setgroups", "exit_group"),
    }
    return [step for step in steps if step.name in names or "O_CREAT" in step.text]


def sample(steps: Sequence[Step], at_most: int) -> list[Step]:
    """At most so many of the steps, evenly spread and including first and last. All of them if ALL_STEPS is set."""
    if os.environ.get(ALL_STEPS) or len(steps) <= at_most:
        return list(steps)
    return [steps[place * (len(steps) - 1) // (at_most - 1)] for place in range(at_most)]


def own_tree(user: str = "alice") -> list[Path]:
    """The parts of a user's isolated state: the tree and sync's memory."""
    return [state(user, VARIANT), memory(user, VARIANT)]


def debris(user: str = "alice") -> list[Path]:
    """What a stopped launch may leave in the isolated state until the next one: half-written files and locks."""
    trees = [tree for tree in own_tree(user) if tree.exists()]
    found = [path for tree in trees for path in tree.rglob("*") if path.name.startswith(".pi-agent-")]
    return found + [path for tree in trees for path in tree.rglob("*.json.lock")]
