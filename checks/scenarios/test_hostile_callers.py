"""The runner called by sudo itself, with all that a host user can hand down: limits, signals, streams, places.

alice may run exactly it, and need not use the `pi` command. Each case ends in one of two ways: the session works, or
a sentence of ours says why not. What stops sudo or the interpreter before a line of ours has run must start nothing.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from scenarios.guest import IDLE, PATIENCE, as_user, assert_clean, demo, home, on_machine, ours, session, state
from scenarios.hostile import RUNNER, SUDO, call, harmless, script, told

# -- limits, umask, signals, descriptors


LIMITS = {"AS": 64 << 20, "CORE": 0, "DATA": 32 << 20, "FSIZE": 0, "NOFILE": 30, "NPROC": 0, "STACK": 1 << 16}
INSIDE = "grep -E '^Sig(Blk|Ign)' /proc/self/status; umask; ulimit -n; ulimit -f; ulimit -v; ulimit -c; nice"


@pytest.mark.parametrize("name", LIMITS)
def test_a_limit_that_the_caller_can_lift_again_governs_nothing(name: str) -> None:
    limit = f"resource.RLIMIT_{name}"
    lowered = f"resource.setrlimit({limit}, ({LIMITS[name]}, resource.getrlimit({limit})[1]))"
    assert script(lowered, INSIDE).ok().stdout == script("", INSIDE).ok().stdout


def raises_limits() -> bool:
    """Whether root may raise a hard limit here; in a container it may not (capabilities(7), CAP_SYS_RESOURCE)."""
    [line] = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("CapEff")]
    return bool(int(line.split()[1], 16) >> 24 & 1)


@pytest.mark.parametrize(
    "limit", [("FSIZE", 0), ("NOFILE", 8), ("NOFILE", 12), ("NOFILE", 16), ("NPROC", 0), ("CORE", 0), ("MEMLOCK", 0)]
)
def test_a_hard_limit_is_lifted_where_root_can_and_else_ends_in_a_sentence(limit: tuple[str, int]) -> None:
    name, most = limit
    result = call(f"resource.setrlimit(resource.RLIMIT_{name}, ({most}, {most}))", "x")
    harmless(result)
    if result.status == 0:
        assert b'"argv": ["x"]' in result.stdout
    elif not result.complaint.startswith("sudo:"):  # who cannot even ask its modules who may do what
        assert not raises_limits()
        told(result)


@pytest.mark.parametrize("limit", [("AS", 1 << 20), ("AS", 12 << 20), ("DATA", 0), ("DATA", 4 << 20), ("CPU", 0)])
def test_without_the_memory_or_time_to_begin_nothing_is_started(limit: tuple[str, int]) -> None:
    # The loader, sudo or the interpreter says so in words of its own: no line of ours has run.
    name, most = limit
    result = call(f"resource.setrlimit(resource.RLIMIT_{name}, ({most}, {most}))", "x")
    assert result.status != 0
    assert result.stdout == b""
    assert not state("alice", "pi-probe").exists()


@pytest.mark.parametrize("mask", ["0", "0o777", "0o022"])
def test_the_umask_of_the_caller_changes_no_permission(mask: str) -> None:
    made = "umask; touch made ~/made; stat -c %a made ~/made ~/.pi ~/.pi/agent ~/.pi/.env"
    assert script(f"os.umask({mask})", made).ok().text.split() == ["0022", "644", "644", "700", "700", "600"]
    for top in (state("alice", "pi-probe"), state("alice", "pi-probe").parents[1] / "sync/alice"):
        assert on_machine("find", top, "-perm", "/o+w", "-not", "-type", "l").ok().text == ""
        assert top.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    "prelude",
    [
        "signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())",
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
    # Timers outlive execve(2), so it is sudo that is hit, at any point of the launch; it passes on an end as it likes.
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
    # Python does not begin with such a stream, and says so in its own words.
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


# -- environment, identity, the options of sudo


HOSTILE = {
    "BASH_ENV": "/home/alice/evil",
    "BASH_FUNC_echo%%": "() { id; }",
    "DBUS_SYSTEM_BUS_ADDRESS": "unix:path=/home/alice/evil",
    "ENV": "/home/alice/evil",
    "GCONV_PATH": "/home/alice",
    "GLIBC_TUNABLES": "glibc.malloc.check=3",
    "IFS": "/",
    "LD_AUDIT": "/home/alice/evil.so",
    "LD_LIBRARY_PATH": "/home/alice",
    "LD_PRELOAD": "/home/alice/evil.so",
    "LOCPATH": "/home/alice",
    "NIX_PYTHONPATH": "/home/alice",
    "PATH": "/home/alice:/usr/bin",
    "PYTHONHOME": "/home/alice",
    "PYTHONINSPECT": "1",
    "PYTHONPATH": "/home/alice",
    "PYTHONPYCACHEPREFIX": "/home/alice",
    "PYTHONWARNINGS": "error",
    "SUDO_COMMAND": "evil",
    "SUDO_GID": "0",
    "SUDO_UID": "1001",
    "SUDO_USER": "bob",
    "SYSTEMD_LOG_TARGET": "console",
    "TMPDIR": "/home/alice",
}
# What sudo(8) sets itself, and what it may let through of a terminal, a language and a login.
KNOWN = {
    "COLORTERM",
    "COLORS",
    "DISPLAY",
    "HOME",
    "LANG",
    "LANGUAGE",
    "LINGUAS",
    "LOGNAME",
    "LS_COLORS",
    "MAIL",
    "PATH",
}
KNOWN |= {
    "HOSTNAME",
    "KRB5CCNAME",
    "PS1",
    "PS2",
    "SHELL",
    "TERM",
    "TZ",
    "USER",
    "USERNAME",
    "XAUTHORITY",
    "XAUTHORIZATION",
}
KNOWN |= {"SUDO_COMMAND", "SUDO_GID", "SUDO_HOME", "SUDO_UID", "SUDO_USER", "TERMINFO", "TERMINFO_DIRS", "NIX_PATH"}
# What the shell in front of the interpreter adds.
KNOWN |= {"PWD", "PYTHONNOUSERSITE", "PYTHONSAFEPATH", "_"}


def variables(pid: int) -> dict[str, str]:
    words = Path(f"/proc/{pid}/environ").read_bytes().rstrip(b"\0").decode("utf-8", "surrogateescape")
    return dict(word.split("=", 1) for word in words.split("\0") if word)


def test_root_runs_with_no_variable_that_chooses_code_or_claims_an_identity() -> None:
    words = [f"{name}={value}" for name, value in HOSTILE.items() if name != "PATH"]
    with session("alice", "env", *words, SUDO, "-n", "--", RUNNER, *IDLE) as running:
        assert running.unit.startswith("pi-agent-alice-")
        [sudo], [runner] = ours()["sudo"], ours()["runner"]
        assert variables(sudo.pid)["PYTHONPATH"] == HOSTILE["PYTHONPATH"]  # it was there to be taken
        seen = variables(runner.pid)
        assert {name for name in seen if not name.startswith("LC_")} <= KNOWN
        for name, value in seen.items():
            assert value != HOSTILE.get(name), name
        assert (seen["SUDO_UID"], seen["SUDO_USER"]) == (str(home("alice").stat().st_uid), "alice")
        [client] = ours()["systemd-run"]
        assert not {name for name in variables(client.pid) if not name.startswith("SYSTEMD_")} - {"TERM", "LC_ALL"}
    assert state("alice", "pi-probe").exists()
    assert not state("bob", "pi-probe").exists()


@pytest.mark.parametrize("name", HOSTILE)
def test_sudo_sets_no_variable_for_the_caller(name: str) -> None:
    refused = as_user("alice", SUDO, "-n", f"{name}={HOSTILE[name]}", "--", RUNNER, "x")
    assert refused.status == 1
    assert refused.stdout == b""


@pytest.mark.parametrize("name", ["LANG", "LC_ALL", "LANGUAGE", "TZ", "TERM", "COLORTERM"])
@pytest.mark.parametrize("value", [b"../../etc/shadow", b":/etc/shadow", b"%h", b"a\nB=c", b"\xff", b"x" * 5000, b'"'])
def test_a_value_that_sudo_lets_through_is_passed_plain_or_not_at_all(name: str, value: bytes) -> None:
    setting = f"os.environb[{name.encode()!r}] = {value!r}"
    result = call(setting, "exec", "env", "-0")
    harmless(result)
    seen = dict(word.split(b"=", 1) for word in result.ok().stdout.rstrip(b"\0").split(b"\0"))
    given = seen.get(name.encode(), b"")
    assert b"B" not in seen
    assert len(given) <= 256 and all(0x20 <= byte < 0x7F for byte in given)


REFUSED = ["-E", "-i", "-s", "-C100", "-D/", "-R/", "-groot", "-T1", "-u#-1", "-u#4294967295", "-upi-agent", "-ubob"]


@pytest.mark.parametrize("option", REFUSED)
def test_an_option_of_sudo_that_would_change_how_the_runner_runs_is_refused(option: str) -> None:
    refused = call("", "x", sudo=[option])
    assert refused.status == 1
    assert refused.stdout == b""


@pytest.mark.parametrize("option", ["-P", "-H", "-B", "-u#0", "-k"])
def test_an_option_of_sudo_that_changes_nothing_of_it_serves_alice_as_ever(option: str) -> None:
    assert call("", "x", sudo=[option]).ok().stdout.startswith(b'{"argv": ["x"]')
    groups = script("", "id -G").ok().text
    assert call("", "exec", "id", "-G", sudo=[option]).ok().text == groups


# -- the working directory


@pytest.mark.parametrize(
    "swap",
    [
        "os.mkfifo(here)",
        "open(here, 'w').close()",
        "os.symlink('/root', here)",
        "os.symlink('nowhere', here)",
        "os.mkdir(here)",
        "pass",
        "os.mkfifo(os.path.dirname(here))",
    ],
)
def test_a_directory_whose_place_something_else_took_is_refused(swap: str) -> None:
    place = demo("alice") / "above/here"
    leave = "os.chdir(here); os.rename(here, here + '.moved'); os.rmdir(here + '.moved')"
    if "dirname" in swap:
        leave += "; os.rmdir(os.path.dirname(here))"
    prelude = f"here = {os.fspath(place)!r}\nos.makedirs(here)\n{leave}\n{swap}"
    told(call(prelude, "x"), "was removed or renamed, or cannot be reached")


def test_a_directory_that_the_caller_may_not_enter_any_more_is_refused_and_one_it_may_not_list_is_not() -> None:
    begin = f"os.mkdir({os.fspath(demo('alice') / 'shut')!r}); os.chdir({os.fspath(demo('alice') / 'shut')!r})\n"
    told(call(begin + "os.chmod('.', 0o000)", "x"), "was removed or renamed, or cannot be reached")
    (demo("alice") / "shut").rmdir()
    assert script(begin + "os.chmod('.', 0o111)", "pwd").ok().text == f"{demo('alice')}/shut"


@pytest.mark.parametrize("place", ["/proc/self/task", "/proc/self/fd", "/sys/kernel", "/dev/shm", "/run", "/var/lib"])
def test_a_directory_of_the_kernels_or_the_systems_is_outside(place: str) -> None:
    told(call(f"os.chdir({place!r})", "x"), "is not inside an allowed project root")


# What root would see at alice's project if it looked in another mount namespace (setns(2)).
ELSEWHERE = """
import ctypes, os, pwd, sys, time
libc = ctypes.CDLL(None, use_errno=True)
ours = os.open("/proc/self/ns/mnt", os.O_RDONLY)
place, over, *argv = sys.argv[1:]
assert libc.unshare(0x20000) == 0
assert libc.mount(b"none", b"/", None, 0x44000, None) == 0
if over:
    assert libc.mount(over.encode(), place.encode(), None, 0x1000, None) == 0
there = os.open(place, os.O_PATH)
parent = os.getpid()
if os.fork() == 0:  # the namespace lives as long as somebody is in it
    os.closerange(0, 3)
    while os.getppid() == parent:
        time.sleep(0.02)
    os._exit(0)
assert libc.setns(ours, 0) == 0
os.fchdir(there)
alice = pwd.getpwnam("alice")
os.initgroups("alice", alice.pw_gid); os.setgid(alice.pw_gid); os.setuid(alice.pw_uid)
os.execv(argv[0], argv)
"""


def test_a_directory_of_another_mount_namespace_shows_nothing_that_is_not_at_its_place_here() -> None:
    argv = ["sh", "-c", "ls -A; cat /proc/self/mountinfo", "x"]
    words = [sys.executable, "-I", "-c", ELSEWHERE, os.fspath(demo("alice"))]
    refused = on_machine(*words, "/etc", SUDO, "-n", "--", RUNNER, "exec", *argv)
    told(refused, f"the current directory {demo('alice')} was removed or renamed, or cannot be reached")
    plain = on_machine(*words, "", SUDO, "-n", "--", RUNNER, "exec", *argv).ok().text
    assert "README" in plain and "passwd" not in plain
