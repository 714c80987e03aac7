"""Times commands with hyperfine(1), alternating in rounds, so that other load on the machine affects all alike.

Commands run as the host user, who logs in, in that user's project, without a shell.
"""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from support.commands import as_user
from support.terminals import ended, terminal

from benchmark import figures
from benchmark.figures import Runs
from benchmark.prepared import Desk

PATIENCE: Final = 900.0  # seconds for the commands of one round
_TAIL: Final = 4096  # bytes of a terminal's output that an error shows
# Writes the processor time of the whole machine, in microseconds, before and after a command: cgroups(7), cpu.stat. It
# contains what sudo, the runner and the session do, and what systemd does for them; all of it would be hard to find.
_METERED: Final = """
read -r _ before </sys/fs/cgroup/cpu.stat
meter=$1
shift
"$@"
status=$?
read -r _ after </sys/fs/cgroup/cpu.stat
echo "$before $after" >"$meter"
exit "$status"
"""


class CommandError(Exception):
    """A command did not do what it is measured for. Names the command and its output."""

    def __init__(self, words: Sequence[str], output: str) -> None:
        super().__init__(f"{shlex.join(words)}\n{output.strip()}")


@dataclass(frozen=True, slots=True)
class Pace:
    """How often to measure: rounds, and runs of each command per round, after one that does not count if `warm`."""

    rounds: int
    runs: int
    warm: bool = True

    def slower(self) -> Pace:
        """For commands that take seconds: fewer runs per round, all of which count."""
        return replace(self, runs=max(1, self.runs // 4), warm=False)


@dataclass(frozen=True, slots=True)
class Setting:
    """Where commands run.

    cwd: None for the project. terminal: on a terminal whose output is read. statuses: the expected exit statuses.
    prepare: runs before each run, untimed.
    """

    cwd: str | None = None
    terminal: bool = False
    statuses: tuple[int, ...] = (0,)
    prepare: tuple[str, ...] = ()


PLAIN: Final = Setting()


# For one round: the runs of each command.
Times = list[Runs]


def rounds(desk: Desk, commands: Sequence[Sequence[str]], pace: Pace, setting: Setting = PLAIN) -> list[Times]:
    """Time the commands in the rounds that pace says, alternately from first to last and from last to first.

    Raises CommandError if one does not end as setting says.
    """
    found = []
    for number in range(pace.rounds):
        forth = 1 if number % 2 == 0 else -1
        found.append([_runs(desk, command, pace, setting) for command in commands[::forth]][::forth])
    return found


def _runs(desk: Desk, command: Sequence[str], pace: Pace, setting: Setting) -> Runs:
    export, meter = desk.private / "times.json", desk.private / "processor"
    export.unlink(missing_ok=True)
    words = ["hyperfine", "-N", "--style=none", f"--runs={pace.runs}", f"--warmup={int(pace.warm)}"]
    words += [f"--export-json={export}"]
    words += ["--input=/dev/tty", "--output=inherit"] if setting.terminal else ["--output=null"]
    if setting.prepare:
        words += ["--prepare", shlex.join(setting.prepare)]
    if any(setting.statuses):
        words += ["--ignore-failure"]
    words = ["sh", "-c", _METERED, "metered", str(meter), *words, shlex.join(command)]
    status, output = _at_terminal(desk, words, setting) if setting.terminal else _apart(desk, words, setting)
    if status != 0:
        raise CommandError(command, output)
    [times] = json.loads(export.read_text(encoding="utf-8"))["results"]
    if not set(times["exit_codes"]) <= set(setting.statuses):
        raise CommandError(command, f"exit statuses {times['exit_codes']} instead of {setting.statuses}")
    used = None if setting.prepare else figures.processor(meter.read_text(encoding="utf-8"), pace.runs + int(pace.warm))
    return Runs(tuple(times["times"]), used)


def _apart(desk: Desk, words: Sequence[str], setting: Setting) -> tuple[int, str]:
    done = as_user(desk.user, *words, cwd=setting.cwd, timeout=PATIENCE)
    return done.status, (done.stdout + done.stderr).decode(errors="replace")


def _at_terminal(desk: Desk, words: Sequence[str], setting: Setting) -> tuple[int, str]:
    screen = terminal(desk.user, *words, cwd=setting.cwd)
    output = b""
    while True:
        try:
            read = os.read(screen.child_fd, 1 << 16)
        except OSError:  # EIO: the last process that had it open has ended
            break
        if not read:
            break
        output = (output + read)[-_TAIL:]
    return ended(screen), output.decode(errors="replace")


def python_of(script: Path) -> str:
    """The interpreter that a script's first line names."""
    with script.open(encoding="utf-8") as file:
        return file.readline().removeprefix("#!").split()[0]
