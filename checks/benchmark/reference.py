"""A reference of a launch: systemd-run with a session's properties, and nothing of ours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from support.commands import on_machine
from support.installed import FACTS

from benchmark.hyperfine import CommandError


@dataclass(frozen=True, slots=True)
class Reference:
    """systemd_run: the program. options: its options, without those for the streams and the unit's name.

    program: what the variant runs.
    """

    systemd_run: Path
    options: tuple[str, ...]
    program: str

    def launch(self, *, terminal: bool = False, program: Sequence[str] = ()) -> list[str]:
        """The command of a host user that starts such a unit, waits for it and leaves nothing of it behind."""
        return [FACTS["sudo"], "-n", "--", *self._as_root(program, "--pty" if terminal else "--pipe")]

    def seen(self, script: str, *arguments: str) -> list[str]:
        """The words that a shell script in such a unit writes. Raises CommandError if it fails."""
        words = self._as_root(["sh", "-c", script, "sh", *arguments], "--pipe")
        done = on_machine(*words)
        if done.status != 0:
            raise CommandError(words, done.complaint)
        return done.text.split()

    def _as_root(self, program: Sequence[str], streams: str) -> list[str]:
        how = [streams, "--background="] if streams == "--pty" else [streams]
        return [str(self.systemd_run), *self.options, *how, "--collect", "--", *(program or [self.program])]
