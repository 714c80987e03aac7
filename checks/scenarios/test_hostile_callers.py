"""The runner, called through sudo itself, with limits, umask, signals and streams that a host user can hand down.

alice may run exactly the runner, and need not use the `pi` command. Each case ends in one of two ways: the session
works, or a sentence of ours says why not. If sudo or the interpreter fails before our code runs, nothing must start.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from support.commands import on_machine
from support.hostile import call, harmless, script, told
from support.installed import demo, home, memory, state
from support.leftovers import assert_clean
from support.sudo import ONLY_SUDO
from support.waiting import PATIENCE

LIMITS = {"AS": 64 << 20, "CORE": 0, "DATA": 32 << 20, "FSIZE": 0, "NOFILE": 30, "NPROC": 0, "STACK": 1 << 16}
INSIDE = "grep -E '^Sig(Blk|Ign)' /proc/self/status; umask; ulimit -n; ulimit -f; ulimit -v; ulimit -c; nice"


@pytest.mark.parametrize("name", LIMITS)
def test_a_limit_that_the_caller_can_lift_again_governs_nothing(name: str) -> None:
    limit = f"resource.RLIMIT_{name}"
    lowered = f"resource.setrlimit({limit}, ({LIMITS[name]}, resource.getrlimit({limit})[1]))"
    assert script(lowered, INSIDE).ok().stdout == script("", INSIDE).ok().stdout


def raises_limits() -> bool:
    """Whether root may raise a hard limit here. In a container it may not (capabilities(7), CAP_SYS_RESOURCE)."""
    [line] = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("CapEff")]
    return bool(int(line.split()[1], 16) >> 24 & 1)


@pytest.mark.parametrize(
    "limit",
    [
        ("FSIZE", 0),
        pytest.param(("NOFILE", 8), marks=ONLY_SUDO),
        ("NOFILE", 12),
        ("NOFILE", 16),
        ("NPROC", 0),
        ("CORE", 0),
        ("MEMLOCK", 0),
    ],
)
def test_a_hard_limit_is_lifted_where_root_can_and_else_ends_in_a_sentence(limit: tuple[str, int]) -> None:
    name, most = limit
    result = call(f"resource.setrlimit(resource.RLIMIT_{name}, ({most}, {most}))", "x")
    harmless(result)
    if result.status == 0:
        assert b'"argv": ["x"]' in result.stdout
    elif not result.complaint.startswith("sudo:"):  # sudo cannot even load its policy modules
        assert not raises_limits()
        told(result)


@pytest.mark.parametrize("limit", [("AS", 1 << 20), ("AS", 12 << 20), ("DATA", 0), ("DATA", 4 << 20), ("CPU", 0)])
def test_without_the_memory_or_time_to_begin_nothing_is_started(limit: tuple[str, int]) -> None:
    # The loader, sudo or the interpreter reports it in its own words: none of our code has run.
    name, most = limit
    result = call(f"resource.setrlimit(resource.RLIMIT_{name}, ({most}, {most}))", "x")
    assert result.status != 0
    assert result.stdout == b""
    assert not state("alice", "pi-probe").exists()


@pytest.mark.parametrize("mask", ["0", "0o777", "0o022"])
def test_the_umask_of_the_caller_changes_no_permission(mask: str) -> None:
    made = "umask; touch made ~/made; stat -c %a made ~/made ~/.pi ~/.pi/agent ~/.pi/.env"
    assert script(f"os.umask({mask})", made).ok().text.split() == ["0022", "644", "644", "700", "700", "600"]
    for top in (state("alice", "pi-probe"), memory("alice", "pi-probe")):
        assert on_machine("find", top, "-perm", "/o+w", "-not", "-type", "l").ok().text == ""
        assert top.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    "prelude",
    [
        # sudo-rs would wait forever, and its caller with it.
        pytest.param("signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())", marks=ONLY_SUDO),
        "for number in signal.valid_signals() - {9, 19, 32, 33}: signal.signal(number, signal.SIG_IGN)",
        "signal.signal(signal.SIGCHLD, signal.SIG_IGN)",
        "os.nice(10); os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})",
        "ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)",  # PR_SET_CHILD_SUBREAPER
    ],
)
def test_signals_that_the_caller_blocks_or_ignores_reach_nobody(prelude: str) -> None:
    status = "grep -E '^Sig(Blk|Ign)' /proc/self/status"
    seen = script(prelude, status).ok()
    assert seen.stdout == script("", status).ok().stdout
    assert seen.stderr == b""


@pytest.mark.parametrize("delay", [0.02, 0.05, 0.1, 0.2, 0.4])
def test_an_alarm_that_the_caller_set_leaves_nothing_whenever_it_rings(delay: float) -> None:
    # Timers outlive execve(2), so the signal hits sudo, at any point of the launch. sudo decides how to report that.
    result = call(f"signal.setitimer(signal.ITIMER_REAL, {delay})", "exec", "sleep", "1")
    harmless(result)
    assert result.status in (0, 129, 142, 143), (result.status, result.complaint)
    assert_clean(PATIENCE)


@pytest.mark.parametrize("closed", [(0,), (1,), (2,), (0, 1), (0, 2), (1, 2), (0, 1, 2)])
def test_closed_streams_are_no_trouble_and_no_descriptor_takes_their_place(closed: tuple[int, ...]) -> None:
    look = "for fd in 0 1 2; do readlink /proc/self/fd/$fd; done >seen; exit 7"
    assert script(f"for number in {closed}: os.close(number)", look).status == 7
    for place in (demo("alice") / "seen").read_text().split():
        assert place.startswith(("pipe:", "socket:", "/dev/null", "/dev/full")) or "/seen" in place, place


@pytest.mark.parametrize(
    ("number", "path", "flags"),
    [
        (0, "/dev/null", os.O_WRONLY),
        (0, "/dev/full", os.O_RDWR),
        (1, "/dev/full", os.O_WRONLY),
        (1, "/dev/null", os.O_RDONLY),
        (2, "/dev/full", os.O_WRONLY),
        (0, "/proc/self/mem", os.O_RDWR),
        (0, "/etc/passwd", os.O_RDONLY),
    ],
)
def test_odd_streams_are_passed_as_they_are(number: int, path: str, flags: int) -> None:
    result = script(f"os.dup2(os.open({path!r}, {flags}), {number})", "head -c 9 >/dev/null; echo out; exit 7")
    assert result.status == 7
    harmless(result)


@pytest.mark.parametrize("number", [0, 1])
def test_a_directory_as_a_stream_starts_nothing(number: int) -> None:
    # Python does not start with such a stream, and says so in its own words.
    result = script(f"os.dup2(os.open('/', os.O_RDONLY), {number})", "echo inside")
    assert result.status == 1
    assert "directory" in result.complaint.lower()
    assert not state("alice", "pi-probe").exists()


def test_no_further_descriptor_of_the_callers_comes_in() -> None:
    secret = home("alice") / ".ssh/id_ed25519"
    opened = f"for number in range(3, 100): os.dup2(os.open({os.fspath(secret)!r}, os.O_RDONLY), number)"
    look = "for fd in 3 4 5 6 7 8 9 50 99; do test ! -e /proc/$$/fd/$fd || echo $fd; done; ls /proc/self/fd | wc -l"
    plain = script("", look).ok().stdout
    assert script(opened, look).ok().stdout == plain
