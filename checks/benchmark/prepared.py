"""What the machine is given for the time of the measuring, and what is taken from it afterwards."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from support import policy_override
from support.commands import Word, as_user, on_machine
from support.installed import FACTS, Json, home, isolated, policy

VARIANT: Final = "pi-true"
SYNCED: Final = "pi-synced"
_RULES: Final = Path("/etc/sudoers.d/system")
_OWN_RULES: Final = Path("/etc/sudoers.d/bench")
_ROOTS: Final = Path("/var/lib/pi-agent-bench")
_TREES: Final = Path(__file__).with_name("trees.py")


@dataclass(frozen=True, slots=True)
class Desk:
    """user: who measures. private: a directory of that user's. place: one that only root can write to."""

    user: str
    private: Path
    place: Path

    def allow(self, *programs: Path) -> None:
        """Let the user run these programs as root with the very rules of sudo that the runner has: how sudo logs and
        which variables it keeps costs both sides the same.
        """
        runner = FACTS["variants"][VARIANT]["runner"]
        rules = _RULES.read_text(encoding="utf-8").splitlines()
        own = [rule for rule in rules if runner in rule and rule.startswith((f"{self.user} ", "Defaults"))]
        lines = [rule.replace(runner, str(program)) for program in programs for rule in own]
        self.sudoers(*lines)

    def sudoers(self, *lines: str) -> None:
        """Replace the further rules of sudo by these."""
        draft = _OWN_RULES.with_name(".bench.new")
        draft.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        draft.chmod(0o440)
        on_machine("visudo", "-cqf", draft).ok()
        draft.rename(_OWN_RULES)

    def as_user(self, *words: Word) -> None:
        """Run a command as the user to its end, which must succeed."""
        as_user(self.user, *words, cwd=home(self.user), timeout=600).ok()

    def in_project(self, *words: Word) -> None:
        """The same in the user's project."""
        as_user(self.user, *words, timeout=600).ok()

    @property
    def configuration(self) -> Path:
        """The Pi configuration that the variant for sync has."""
        return home(self.user) / ".config/bench-pi"

    def tree(self, files: int) -> None:
        """Make that configuration: what the other variant has, and this number of files of 4 KiB, ten a directory."""
        small = home(self.user) / ".pi/agent"
        self.as_user("rm", "-rf", self.configuration)
        self.as_user("mkdir", "-p", self.configuration.parent)
        self.as_user("cp", "-a", small, self.configuration)
        self.as_user("python3", "-I", _TREES, "make", self.configuration / "skills", str(files))

    def changing(self, files: int) -> tuple[str, ...]:
        """The command that changes this number of the tree's files, other ones each time."""
        return ("python3", "-I", str(_TREES), "change", str(self.configuration / "skills"), str(files))

    def program(self, name: str, text: str) -> Path:
        """Write a program of root's."""
        path = self.place / name
        path.write_text(text, encoding="utf-8")
        path.chmod(0o755)
        return path

    def runner_under(self, name: str, policy: Json) -> Path:
        """The variant's runner, as it is under another policy."""
        return policy_override.under(FACTS["variants"][VARIANT], "runner", self._folder(name), policy)

    def wrapper_under(self, name: str, policy: Json) -> Path:
        """The variant's wrapper, and the runner behind it, as they are under another policy."""
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
    """Somebody's desk, cleared on the way out."""
    made = Desk(user, home(user) / ".bench", _ROOTS)
    _clear(made)
    try:
        made.place.mkdir(mode=0o755)
        made.as_user("mkdir", "-p", made.private)
        yield made
    finally:
        _clear(made)


def _clear(made: Desk) -> None:
    _OWN_RULES.unlink(missing_ok=True)
    counter = made.configuration.with_name(f".{made.configuration.name}.turn")
    as_user(made.user, "rm", "-rf", made.private, made.configuration, counter, timeout=600).ok()
    shutil.rmtree(made.place, ignore_errors=True)
    for path in synced_state():
        shutil.rmtree(path, ignore_errors=True)


def synced_state(user: str = "alice") -> Sequence[Path]:
    """What is left of a sync: the tree that was written, and what is remembered of it."""
    top = Path(policy(SYNCED)["stateDir"])
    return (isolated(user, "skills", SYNCED), top / "sync" / user)
