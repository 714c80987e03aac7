"""Many sessions at once, many in a row, and a policy for a large company."""

from __future__ import annotations

import os
import re
import statistics
import subprocess
import time
from dataclasses import astuple, dataclass
from pathlib import Path

import pytest
from support import policy_override, strace
from support.commands import inside, login
from support.installed import STAGING, demo, policy
from support.leftovers import assert_clean
from support.units import every_unit
from support.waiting import until

# How many launches in a row count as many. `make soak` uses a thousand.
LAUNCHES = int(os.environ.get("PI_AGENT_LAUNCHES", "100"))
AT_ONCE = 50


def test_fifty_sessions_of_two_users_at_once() -> None:
    """All run at the same time before the first one ends, and each has its own status and output."""
    script = "echo session $1 of $(id -u); cat >/dev/null; exit $1"
    clients: list[tuple[int, subprocess.Popen[bytes]]] = []
    for number in range(AT_ONCE):
        words = login("alice" if number % 2 else "bob", ["pi-probe", "exec", "bash", "-c", script, "x", str(number)])
        pipe = subprocess.PIPE
        clients.append((number, subprocess.Popen(words, stdin=pipe, stdout=pipe, stderr=pipe, cwd="/")))
    for number, client in clients:
        assert client.stdout is not None
        assert client.stdout.readline().startswith(f"session {number} of ".encode())
    wrong = []
    for number, client in clients:
        output, complaint = client.communicate(timeout=120)
        if (client.returncode, output, complaint) != (number, b"", b""):
            wrong.append((number, client.returncode, output, complaint))
    assert not wrong
    assert_clean()


@dataclass(frozen=True, slots=True)
class Use:
    """The machine's resources: mounts, units, files in /run and in the isolated state, KiB of systemd's memory."""

    mounts: int
    units: int
    run: int
    state: int
    memory: int


def use() -> Use:
    # The journal grows with each entry, and journald limits it itself.
    run = sum(len(names) for folder, _, names in os.walk("/run") if "/journal" not in folder)
    state = sum(len(names) + len(folders) for _, folders, names in os.walk(policy("pi-probe")["stateDir"]))
    mounts = len(Path("/proc/self/mountinfo").read_text().splitlines())
    # systemd takes its time to forget units of mounts that are gone.
    until(lambda: "run-pi\\x2dagent-" not in "\n".join(every_unit()), "systemd has forgotten what was staged")
    memory = re.search(r"^VmRSS:\s+(\d+)", Path("/proc/1/status").read_text(), re.MULTILINE)
    assert memory is not None
    return Use(mounts, len(every_unit()), run, state, int(memory[1]))


def test_many_launches_in_a_row_make_nothing_grow(capsys: pytest.CaptureFixture[str]) -> None:
    command = strace.runner("exec", "true")

    def launch(times: int) -> None:
        for _ in range(times):
            done = subprocess.run(
                command, cwd=demo("alice"), stdin=subprocess.DEVNULL, capture_output=True, check=False
            )
            assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")

    launch(20)
    assert_clean()
    before, since = use(), time.monotonic()
    launch(LAUNCHES)
    seconds = time.monotonic() - since
    assert_clean()
    after = use()
    with capsys.disabled():
        print(f"[{LAUNCHES} launches, {seconds / LAUNCHES:.2f} s each: {before} -> {after}] ", end="", flush=True)
    # Timers and logins of the machine come and go. What grows with every launch is far above these.
    grown = [new - old for old, new in zip(astuple(before), astuple(after), strict=True)]
    assert all(growth <= LAUNCHES // 20 for growth in grown[:3]), (before, after)
    assert after.state == before.state
    assert grown[4] <= 4 * LAUNCHES + 1024, "systemd keeps memory for what is gone"


def test_a_policy_of_a_thousand_users_with_a_hundred_roots_each(tmp_path: Path) -> None:
    small_command = strace.runner("exec", "pwd")
    large_command = strace.under_policy(policy_override.crowded(policy(strace.VARIANT)), small_command, tmp_path)
    times: dict[str, list[float]] = {"small": [], "large": []}
    for _ in range(5):
        for name, command in (("small", small_command), ("large", large_command)):
            since = time.monotonic()
            done = subprocess.run(
                command, cwd=demo("alice"), stdin=subprocess.DEVNULL, capture_output=True, check=False
            )
            times[name].append(time.monotonic() - since)
            assert (done.returncode, done.stderr) == (0, b"")
            assert done.stdout.decode().strip() == str(demo("alice"))
    typical = {name: statistics.median(found) for name, found in times.items()}
    assert typical["large"] <= typical["small"] + 1.0, typical
    # The denial: the large policy is the one that was used.
    done = subprocess.run(large_command, cwd="/srv/shared", capture_output=True, check=False)
    assert b"is not inside an allowed project root" in done.stderr
    done = subprocess.run(small_command, cwd="/srv/shared", capture_output=True, check=False)
    assert b"is not inside an allowed project root" not in done.stderr


def test_a_sweep_of_many_dead_sessions_is_no_hindrance() -> None:
    place = STAGING / str(demo("alice").stat().st_uid)
    STAGING.mkdir(0o700, exist_ok=True)
    place.mkdir(0o700)
    for number in range(30):
        (place / f"pi-agent-alice-{number:016x}" / "project").mkdir(0o700, parents=True)
    inside("true", timeout=120).ok()
    assert_clean()
