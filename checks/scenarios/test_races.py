"""The owner of a directory can exchange its content between two look-ups: in many launches, without pause.

alice exchanges her project root, her configuration and parts of both for links to places that she or her agent may not
use, thousands of times a second. Detectors watch those places: nobody opens, reads, writes or mounts them. Each
detector is first shown to notice somebody who goes by paths alone.

`PI_AGENT_RACES`: how many seconds to try.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest
from support.commands import login, on_machine
from support.detectors import FORBIDDEN, Mounts, Watched, fingerprints
from support.installed import FACTS, demo, home, policy
from support.waiting import PATIENCE, until

SECONDS: Final = float(os.environ.get("PI_AGENT_RACES", "9"))
RUNNER: Final = FACTS["variants"]["pi-probe"]["runner"]
ROOTS: Final = Path("/srv/forbidden-of-root")
BOBS: Final = home("bob") / "forbidden-of-bob"
ALICES: Final = home("alice") / "forbidden-of-alice"  # hers, and below no allowed root
# Exchanges names until it is killed. Arguments: pairs of directory and name, directory and name.
_SWAP: Final = """
import ctypes, os, random, sys, time
libc = ctypes.CDLL(None, use_errno=True)
words = sys.argv[1:]
# Held open: the directories above are exchanged as well.
held = {path: os.open(path, os.O_PATH) for path in {*words[0::4], *words[2::4]}}
pairs = [(held[a], b.encode(), held[c], d.encode()) for a, b, c, d in zip(*[iter(words)] * 4)]
print("ready", flush=True)
while True:
    pair = random.choice(pairs)
    # There and back, most of the time back: a launch that is refused early meets no later swap.
    for pause in ((0, 0.0001, 0.001), (0, 0.001, 0.003)):
        libc.renameat2(*pair, 2)  # RENAME_EXCHANGE
        time.sleep(random.choice(pause))
"""
# Starts one session after the other in a directory for some seconds. Prints how each ended and what was seen inside.
_LAUNCH: Final = """
import os, subprocess, sys, time
seconds, *argv = sys.argv[1:]
end = time.monotonic() + float(seconds)
here = os.open(".", os.O_PATH)
while time.monotonic() < end:
    os.fchdir(here)
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    sys.stdout.buffer.write(b"== %d\\n" % done.returncode + done.stdout)
    sys.stdout.flush()
"""
# Everything that the sandbox shows of the project and of the agent's home, and its source.
_LOOK: Final = (
    "cat /proc/self/mountinfo; cd /; find home srv var/lib/pi-probe -name '*forbid*' -o -type l -prune 2>&1; "
    + ("grep -rasF forbidden home srv var/lib/pi-probe; exit 0")
)


def as_alice(program: str, *words: str | Path, cwd: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        login("alice", [sys.executable, "-I", "-c", program, *words], cwd), stdout=subprocess.PIPE, cwd="/"
    )


@pytest.fixture(autouse=True)
def forbidden() -> Iterator[list[Path]]:
    """Places that look like everything a launch looks for. Every file in them has the forbidden word."""
    try:
        for place, user in ((ROOTS, "root"), (BOBS, "bob"), (ALICES, "alice")):
            for name in (
                "canary",
                "config",
                "settings.json",
                ".env",
                "hooks/canary",
                ".git/config",
                ".git/hooks/canary",
            ):
                for top in (place, place / "demo"):
                    (top / name).parent.mkdir(parents=True, exist_ok=True)
                    (top / name).write_text(f"{FORBIDDEN}={user}\n")
            on_machine("chown", "-R", user, place).ok()
            on_machine("chmod", "-R", "u=rwX,go=", place).ok()
        yield [ROOTS, BOBS, ALICES]
    finally:
        # What alice exchanged may be anywhere. Fixtures make it anew.
        on_machine("rm", "-rf", ROOTS, BOBS, ALICES, *(home("alice") / name for name in ("p", ".pi", "links"))).ok()


@contextmanager
def swapped(*pairs: tuple[Path, Path]) -> Iterator[None]:
    """Meanwhile, alice exchanges what is at one path for a link to the other, and back."""
    links = home("alice") / "links"
    links.mkdir(exist_ok=True)
    os.chown(links, home("alice").stat().st_uid, -1)
    words: list[str] = []
    for path, target in pairs:
        name = f"{len(os.listdir(links))}"
        (links / name).symlink_to(target)
        words += [os.fspath(path.parent), path.name, os.fspath(links), name]
    swapper = as_alice(_SWAP, *words, cwd=home("alice"))
    try:
        assert swapper.stdout is not None and swapper.stdout.readline() == b"ready\n"
        yield
    finally:
        swapper.terminate()
        swapper.wait(PATIENCE)
        assert swapper.stdout is not None
        swapper.stdout.close()


def race(forbidden: list[Path], seconds: float, *pairs: tuple[Path, Path], cwds: list[Path]) -> Counter[int]:
    """Launch in a loop from each of cwds while alice swaps, and count by status. Fails if a detector saw anything."""
    before = fingerprints(forbidden)
    watched, mounts = Watched(forbidden), Mounts()
    command = [FACTS["sudo"], "-n", "--", RUNNER, "exec", "sh", "-c", _LOOK]
    try:
        # Started before anything moves, so that each has a directory to return to.
        launchers = [as_alice(_LAUNCH, str(seconds), *command, cwd=cwd) for cwd in cwds]
        with swapped(*pairs):
            outputs = [launcher.communicate(timeout=seconds + 4 * PATIENCE)[0] for launcher in launchers]
        assert watched.seen() == b"", "somebody opened a forbidden place"
    finally:
        mounts.close()
        watched.close()
    assert mounts.looks > seconds
    assert mounts.found == []
    assert fingerprints(forbidden) == before
    counts: Counter[int] = Counter()
    for output in outputs:
        for session in output.split(b"== ")[1:]:
            status, _, said = session.partition(b"\n")
            counts[int(status)] += 1
            assert b"a bug in pi-agent" not in said and b"Traceback" not in said, said
            if status == b"0":
                # A notice may name a link's path. The source of a mount or the content of a file may not appear.
                inside = [
                    line
                    for line in said.splitlines()
                    if FORBIDDEN.encode() in line and b"pi-probe: " not in line and b": leads " not in line
                ]
                assert inside == []
    top = Path(policy("pi-probe")["stateDir"])
    assert on_machine("grep", "-rlFas", FORBIDDEN + "=", top).text == ""
    print(f"{sum(counts.values())} launches in {seconds:.0f} seconds, by status: {dict(sorted(counts.items()))}")
    assert set(counts) <= {0, 65, 69, 77}, counts
    return counts


SHARE: Final = SECONDS / 3


def race_to(wanted: set[int], forbidden: list[Path], *pairs: tuple[Path, Path], cwds: list[Path]) -> None:
    """Race until launches have ended with each of these statuses: a slow machine makes few launches."""
    counts = race(forbidden, SHARE, *pairs, cwds=cwds)
    deadline = time.monotonic() + 4 * PATIENCE
    while not wanted <= set(counts):
        assert time.monotonic() < deadline, f"{counts} is all that came of launches"
        counts += race(forbidden, SHARE, *pairs, cwds=cwds)


def test_a_root_that_is_swapped_for_a_link_is_never_followed(forbidden: list[Path]) -> None:
    p = home("alice") / "p"
    # From inside the link's target: if the link were followed, this would be inside a root.
    cwds = [demo("alice"), ALICES / "demo"]
    race_to({77}, forbidden, (p, ALICES), (p, ROOTS), (demo("alice"), ALICES / "demo"), cwds=cwds)


def test_a_configuration_that_is_swapped_for_a_link_brings_in_nothing_of_others(forbidden: list[Path]) -> None:
    configuration = home("alice") / ".pi/agent"
    on_machine("runuser", "-u", "alice", "--", "mkdir", configuration / "skills").ok()
    on_machine("runuser", "-u", "alice", "--", "touch", configuration / ".env", configuration / "skills/canary").ok()
    pairs = [(configuration, place) for place in (ROOTS, BOBS)]
    pairs += [(configuration / name, place / name) for name in ("settings.json", ".env") for place in (ROOTS, BOBS)]
    pairs += [(configuration / "skills", BOBS), (configuration / "skills/canary", ROOTS / "canary")]
    race_to({65, 0}, forbidden, *pairs, cwds=[demo("alice")] * 2)


def test_a_git_directory_that_is_swapped_for_a_link_leads_nobody_out(forbidden: list[Path]) -> None:
    git = demo("alice") / ".git"
    places = (ALICES, ROOTS, BOBS)
    pairs = [(git, place / ".git") for place in places] + [(git / "hooks", place / "hooks") for place in places]
    pairs += [(git / "config", place / "config") for place in places]
    race_to({0}, forbidden, *pairs, cwds=[demo("alice")] * 2)


# -- that the detectors see


def met(act: Callable[[], object], condition: Callable[[], object]) -> None:
    """Repeat act until condition holds: now and then a swap is in the way."""

    def attempt() -> object:
        try:
            act()
        except OSError:
            pass
        return condition()

    until(attempt, "the detector saw it")


def test_a_root_process_that_reads_by_path_is_seen(forbidden: list[Path]) -> None:
    watched = Watched(forbidden)
    try:
        assert watched.seen() == b""
        with swapped((demo("alice") / ".git", ROOTS / ".git")):
            met(lambda: (demo("alice") / ".git/config").read_bytes(), watched.seen)
    finally:
        watched.close()


def test_a_root_process_that_writes_by_path_is_seen(forbidden: list[Path]) -> None:
    before = fingerprints(forbidden)
    with swapped((home("alice") / ".pi/agent", BOBS)):
        met(
            lambda: (home("alice") / ".pi/agent/settings.json").chmod(0o640),
            lambda: fingerprints(forbidden) != before,
        )


def test_a_root_process_that_mounts_by_path_is_seen(forbidden: list[Path], tmp_path: Path) -> None:
    mounts = Mounts()
    deadline = time.monotonic() + PATIENCE
    try:
        with swapped((home("alice") / "p", ALICES)):
            while not mounts.found and time.monotonic() < deadline:
                on_machine("mount", "--bind", home("alice") / "p", tmp_path)
                time.sleep(0.01)
                on_machine("umount", tmp_path)
    finally:
        mounts.close()
    assert mounts.found
