"""Temporary changes to the machine for the measurement, undone afterwards."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from support import policy_override
from support.commands import Word, as_user, on_machine
from support.installed import FACTS, STAGING, Json, home, isolated, memory
from support.waiting import until

VARIANT: Final = "pi-true"
SYNCED: Final = "pi-synced"
_RULES: Final = Path("/etc/sudoers.d/system")
_OWN_RULES: Final = Path("/etc/sudoers.d/system-bench")
_ROOTS: Final = Path("/var/lib/pi-agent-bench")
_MOUNTS: Final = Path("/proc/self/mountinfo")
_END_WITHIN: Final = 120.0  # seconds in which a session ends that was interrupted
_TREES: Final = Path(__file__).with_name("trees.py")


@dataclass(frozen=True, slots=True)
class Desk:
    """user: the one who measures. private: a directory of that user. place: a directory that only root can write to."""

    user: str
    private: Path
    place: Path

    def allow(self, *programs: Path) -> None:
        """Let the user run these programs as root under the same sudo rules as the runner.

        What sudo logs and which variables it keeps then costs both sides the same.
        """
        runner = FACTS["variants"][VARIANT]["runner"]
        rules = _RULES.read_text(encoding="utf-8").splitlines()
        own = [rule for rule in rules if runner in rule and rule.startswith((f"{self.user} ", "Defaults"))]
        lines = [rule.replace(runner, str(program)) for program in programs for rule in own]
        self.sudoers(*lines)

    def sudoers(self, *lines: str) -> None:
        """Replace the further sudo rules with these."""
        draft = _OWN_RULES.with_name(".bench.new")
        draft.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        draft.chmod(0o440)
        on_machine("visudo", "-cqf", draft).ok()
        draft.rename(_OWN_RULES)

    def as_user(self, *words: Word) -> None:
        """Run a command as the user to its end. It must succeed."""
        as_user(self.user, *words, cwd=home(self.user), timeout=600).ok()

    def in_project(self, *words: Word) -> None:
        """As `as_user`, in the user's project."""
        as_user(self.user, *words, timeout=600).ok()

    @property
    def configuration(self) -> Path:
        """The Pi configuration of the variant for sync."""
        return home(self.user) / ".config/bench-pi"

    def tree(self, files: int) -> None:
        """Make that configuration: the other variant's, plus this number of files of 4 KiB, ten per directory."""
        small = home(self.user) / ".pi/agent"
        self.as_user("rm", "-rf", self.configuration)
        self.as_user("mkdir", "-p", self.configuration.parent)
        self.as_user("cp", "-a", small, self.configuration)
        self.as_user("python3", "-I", _TREES, "make", self.configuration / "skills", str(files))

    def changing(self, files: int) -> tuple[str, ...]:
        """The command that changes this number of the tree's files, different ones each time."""
        return ("python3", "-I", str(_TREES), "change", str(self.configuration / "skills"), str(files))

    @property
    def project(self) -> Path:
        """A further project of the user's, below another of the user's roots."""
        return home(self.user) / "p/bench"

    def large_project(self, kind: str, number: int) -> None:
        """Make that project anew: with this number of `directories`, or of `repositories`."""
        self.as_user("rm", "-rf", self.project)
        self.as_user("python3", "-I", _TREES, kind, self.project, str(number))

    @contextmanager
    def pi_unchanged(self) -> Iterator[None]:
        """Give the user back her Pi configuration as it was: Pi alone writes to it."""
        own, copy = home(self.user) / ".pi", self.private / "pi"
        self.as_user("cp", "-a", own, copy)
        try:
            yield
        finally:
            self.as_user("rm", "-rf", own)
            self.as_user("mv", copy, own)

    def program(self, name: str, text: str) -> Path:
        """Write a program that root owns."""
        path = self.place / name
        path.write_text(text, encoding="utf-8")
        path.chmod(0o755)
        return path

    def runner_under(self, name: str, policy: Json) -> Path:
        """The variant's runner, under another policy."""
        return policy_override.under(FACTS["variants"][VARIANT], "runner", self._folder(name), policy)

    def wrapper_under(self, name: str, policy: Json) -> Path:
        """The variant's wrapper, and the runner behind it, under another policy."""
        runner = self.runner_under(name, policy)
        return policy_override.under(
            FACTS["variants"][VARIANT],
            "wrapper",
            self._folder(name),
            policy,
            {FACTS["variants"][VARIANT]["runner"]: str(runner)},
        )

    def _folder(self, name: str) -> Path:
        folder = self.place / name
        folder.mkdir(exist_ok=True)
        return folder


@contextmanager
def desk(user: str = "alice") -> Iterator[Desk]:
    """A user's desk, cleared on exit."""
    made = Desk(user, home(user) / ".bench", _ROOTS)
    _clear(made)
    try:
        made.place.mkdir(mode=0o755)
        made.as_user("mkdir", "-p", made.private)
        yield made
    finally:
        _clear(made)


def _clear(made: Desk) -> None:
    # A launch that was interrupted still ends: as long as something is mounted in a project, the project stays.
    # systemd is not asked: it may be busy with thousands of mounts for longer than anybody waits for an answer.
    until(lambda: f" {STAGING}/" not in _MOUNTS.read_text(encoding="utf-8"), "no session has mounts", _END_WITHIN)
    _OWN_RULES.unlink(missing_ok=True)
    counter = made.configuration.with_name(f".{made.configuration.name}.turn")
    as_user(made.user, "rm", "-rf", made.private, made.configuration, made.project, counter, timeout=600).ok()
    shutil.rmtree(made.place, ignore_errors=True)
    for path in synced_state():
        shutil.rmtree(path, ignore_errors=True)


def synced_state(user: str = "alice") -> Sequence[Path]:
    """The result of a sync: the tree that was written, and sync's memory of it."""
    return (isolated(user, "skills", SYNCED), memory(user, SYNCED))
