"""The processes of the machine, and those that make up sessions."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from support.installed import FACTS

GUARD: Final = "pi-agent-guard"


@dataclass(frozen=True, slots=True)
class Process:
    """A process of this machine: its id, short name, arguments and uid."""

    pid: int
    name: str
    words: tuple[str, ...]
    uid: int

    def kill(self, number: signal.Signals) -> None:
        """Send it a signal."""
        os.kill(self.pid, number)

    def there(self) -> bool:
        """Whether it still runs."""
        try:
            return "\nState:\tZ" not in Path(f"/proc/{self.pid}/status").read_text(encoding="utf-8")
        except (FileNotFoundError, ProcessLookupError):
            return False


def processes() -> list[Process]:
    """Every process of this machine, except kernel threads and zombies."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            words = (entry / "cmdline").read_bytes()
            name = (entry / "comm").read_text(encoding="utf-8", errors="replace").strip()
            uid = entry.stat().st_uid
        except (FileNotFoundError, ProcessLookupError):
            continue
        if words:
            split = words.decode("utf-8", "backslashreplace").rstrip("\0").split("\0")
            found.append(Process(int(entry.name), name, tuple(split), uid))
    return found


def ours(among: Sequence[Process] | None = None) -> dict[str, list[Process]]:
    """The processes outside the sandbox that make up sessions: `sudo`, `runner`, `guard`, `systemd-run`."""
    found: dict[str, list[Process]] = {"sudo": [], "runner": [], "guard": [], "systemd-run": []}
    for process in processes() if among is None else among:
        program = os.path.basename(process.words[0])
        if process.name == GUARD:
            found["guard"].append(process)
        elif process.name == "systemd-run":
            found["systemd-run"].append(process)
        elif program == "sudo" and any(facts["runner"] in process.words for facts in FACTS["variants"].values()):
            found["sudo"].append(process)
        elif _is_runner(process.words):
            found["runner"].append(process)
        # Once the runner has died, the guard is another program. It has the shell's name until it has started.
        elif any("guard.stand_in" in word or word.endswith("/session/guard.bash") for word in process.words):
            found["guard"].append(process)
    return found


def _is_runner(words: Sequence[str]) -> bool:
    """Whether it is the runner: its program, the shell that it becomes while Pi runs, or its program once more."""
    program = os.path.basename(words[0])
    if program == "bash":
        return len(words) > 2 and words[2].endswith("/session/waiter.bash")
    if not program.startswith("python3") or len(words) < 2:
        return False
    # A wrapped script: an interpreter that runs the wrapped file beside the program.
    directories = {os.path.dirname(facts["runner"]) for facts in FACTS["variants"].values()}
    return os.path.dirname(words[1]) in directories or any("resumption.main" in word for word in words)
