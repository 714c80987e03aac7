"""The reference of a launch: systemd-run with the same properties and mounts as a session, and nothing of ours.

A runner stages a session, but its systemd-run is a program that writes down its arguments and waits. While it waits,
everything stays mounted, and the arguments can be used any number of times.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from support import strace
from support.commands import on_machine
from support.installed import FACTS, demo, policy
from support.leftovers import assert_clean
from support.waiting import PATIENCE, until

from benchmark.hyperfine import CommandError
from benchmark.prepared import VARIANT, Desk

# systemd-run's arguments without the command, NUL-terminated. The file is complete once it has its name.
_WRITES: Final = """#!/bin/sh
printf '%s\\0' "$@" >{words}.new
mv {words}.new {words}
exec sleep infinity
"""
_LINKS: Final = ("/bin", "/sbin", "/lib", "/lib64")


@dataclass(frozen=True, slots=True)
class Held:
    """systemd_run: the program. options: its options, without those for the streams and the unit's name.

    program: what the variant runs.
    """

    systemd_run: Path
    options: tuple[str, ...]
    program: str

    def launch(self, *, terminal: bool = False, program: Sequence[str] = ()) -> list[str]:
        """The command of a host user that starts such a unit, waits for it and leaves nothing of it behind."""
        streams = ("--pty", "--background=") if terminal else ("--pipe",)
        words = [*self.options, *streams, "--collect", "--", *(program or [self.program])]
        return [FACTS["sudo"], "-n", "--", str(self.systemd_run), *words]

    def bubblewrap(self, root: Path) -> list[str]:
        """The command that gives a program a similar view with bwrap(1).

        It shows the same of the system, read-only, and the project root, in namespaces for everything except the
        network.
        """
        words = ["bwrap", "--unshare-all", "--share-net", "--die-with-parent", "--new-session"]
        words += ["--dev", "/dev", "--tmpfs", "/tmp", "--tmpfs", "/home", "--ro-bind", "/proc", "/proc"]  # noqa: S108 -- inside
        for path in _LINKS:
            if os.path.islink(path):
                words += ["--symlink", os.readlink(path), path]
        shown = [option.partition("=BindReadOnlyPaths=")[2] for option in self.options]
        for path in (path for value in shown for path in shlex.split(value) if ":" not in path):
            words += ["--ro-bind", path, path]
        return [*words, "--bind", str(root), str(root), "--chdir", str(root), "--", self.program]


@contextmanager
def held(desk: Desk) -> Iterator[Held]:
    """A session of the user that is staged but not started, until exit."""
    known = policy(VARIANT)
    real = Path(known["tools"]["systemd-run"])
    words = desk.place / "words"
    words.unlink(missing_ok=True)
    writer = desk.program("systemd-run", _WRITES.format(words=words))
    runner = desk.runner_under("held", {**known, "tools": {**known["tools"], "systemd-run": str(writer)}})
    command = [runner if word == FACTS["variants"][strace.VARIANT]["runner"] else word for word in strace.runner()]
    null = subprocess.DEVNULL
    client = subprocess.Popen(command, cwd=demo(desk.user), stdin=null, stdout=null, stderr=subprocess.PIPE)
    try:
        until(lambda: words.exists() or client.poll() is not None, "a session is staged")
        if client.poll() is not None:
            raise CommandError(list(map(str, command)), client.communicate()[1].decode())
        given = words.read_text(encoding="utf-8").split("\0")
        made = Held(real, tuple(_kept(given[: given.index("--")])), known["program"])
        _check(made, demo(desk.user))
        yield made
    finally:
        # If systemd-run has ended and the session has not begun, the runner cleans up and reports it.
        if client.poll() is None:
            for pid in _children(client.pid):
                if b"sleep\0infinity" in Path(f"/proc/{pid}/cmdline").read_bytes():
                    os.kill(pid, signal.SIGTERM)
            client.communicate(timeout=PATIENCE)
        assert_clean(PATIENCE)


def _check(made: Held, project: Path) -> None:
    """Check that such a unit sees what a session sees: the project, and nothing beside it."""
    looks = made.launch(program=["sh", "-c", 'ls -A "$1" /home', "sh", str(project)])
    seen = on_machine(*looks[looks.index("--") + 1 :]).ok().text.split()
    if "README" not in seen or "bob" in seen:
        raise CommandError(looks, f"the reference shows {seen}")


def _kept(options: Sequence[str]) -> list[str]:
    """The options without those of one session: the streams, the unit's name, and the gate, which lets one unit in."""
    own = ("--pipe", "--unit=", "--property=OpenFile=")
    return [option for option in options if not option.startswith(own)]


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
