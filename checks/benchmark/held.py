"""The reference of a launch that changes with us: systemd-run with the properties of today's unit, and nothing of ours.

A runner prepares a session, but its systemd-run is a program that writes down its arguments and waits. While it waits,
all that the runner prepared stays, and the arguments can be used any number of times.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from support import strace
from support.installed import FACTS, demo, policy
from support.leftovers import assert_clean
from support.waiting import PATIENCE, until

from benchmark.hyperfine import CommandError
from benchmark.prepared import VARIANT, Desk
from benchmark.reference import Reference

# Its process id and systemd-run's arguments, NUL-terminated. The file is complete once it has its name.
_WRITES: Final = """#!/bin/sh
printf '%s\\0' "$$" "$@" >{words}.new
mv {words}.new {words}
exec sleep infinity
"""


@contextmanager
def held(desk: Desk) -> Iterator[Reference]:
    """A session of the user that is prepared but not started, until exit."""
    known = policy(VARIANT)
    words = desk.place / "words"
    words.unlink(missing_ok=True)
    writer = desk.program("systemd-run", _WRITES.format(words=words))
    runner = desk.runner_under("held", {**known, "tools": {**known["tools"], "systemd-run": str(writer)}})
    command = [runner if word == FACTS["variants"][strace.VARIANT]["runner"] else word for word in strace.runner()]
    null = subprocess.DEVNULL
    # In a process group of its own, so that whoever interrupts the measurement does not end it before we do.
    client = subprocess.Popen(
        command, cwd=demo(desk.user), stdin=null, stdout=null, stderr=subprocess.PIPE, process_group=0
    )
    try:
        until(lambda: words.exists() or client.poll() is not None, "a session is prepared")
        if client.poll() is not None:
            raise CommandError(list(map(str, command)), client.communicate()[1].decode())
        _, *given = words.read_text(encoding="utf-8").split("\0")
        options = tuple(_kept(given[: given.index("--")]))
        made = Reference(Path(known["tools"]["systemd-run"]), options, known["program"])
        if "bob" in (seen := made.seen("ls -A /home")):
            raise CommandError(made.launch(), f"the reference shows {seen}")
        yield made
    finally:
        # If systemd-run has ended and the session has not begun, the runner cleans up and reports it.
        if client.poll() is None:
            with suppress(FileNotFoundError, ProcessLookupError):
                os.kill(int(words.read_text(encoding="utf-8").partition("\0")[0]), signal.SIGTERM)
            client.communicate(timeout=PATIENCE)
        assert_clean(PATIENCE)


def _kept(options: Sequence[str]) -> list[str]:
    """The options without those of one session: the streams, the unit's name, and what launch.bash alone reads."""
    own = ("--pipe", "--unit=", "--property=OpenFile=")
    return [option for option in options if not option.startswith(own)]
