"""A session that takes all that it can get of the kernel leaves root, other users and other sessions theirs.

What the kernel counts by user would be charged to root, who made the sessions' user namespaces, or to the agent's user,
whom two sessions share. References: namespaces(7), inotify(7), getrlimit(2), mq_overview(7), pts(4).
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Final

import pytest
from support import strace
from support.commands import as_user, inside, on_machine
from support.installed import agent, demo, home
from support.processes import ours
from support.sessions import IDLE, session
from support.units import units
from support.waiting import until

# A container has the limits of its host's kernel, and refuses some calls itself.
pytestmark = pytest.mark.shows_limits

# Takes of each resource as much as it gets, or as the argument says, prints how much that is, and holds it until its
# input ends.
_HOG: Final = r"""
import ctypes, json, os, resource, signal, sys, tempfile
most = json.loads(sys.argv[1])
libc = ctypes.CDLL(None, use_errno=True)
resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)

def checked(result):
    if result < 0:
        raise OSError(ctypes.get_errno(), "")
    return result

def taken(name, take):
    count = 0
    while count < most.get(name, 10**6):
        try:
            take(count)
        except OSError:
            break
        count += 1
    return count

held, attributes = [], (ctypes.c_long * 8)(0, 4, 1024)
place = tempfile.mkdtemp()
files = [f"{place}/{number}".encode() for number in range(3000)]
for file in files:
    open(file, "w").close()
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGRTMIN])
def watch(number):
    instance, file = divmod(number, len(files))
    if instance >= len(held):
        raise OSError
    checked(libc.inotify_add_watch(held[instance], files[file], 2))
def lock(_):
    segment = checked(libc.shmget(0, 65536, 0o600))
    locked = libc.shmctl(segment, 11, None)
    if locked < 0:
        libc.shmctl(segment, 0, None)
    checked(locked)
found = {
    "instances": taken("instances", lambda _: held.append(checked(libc.inotify_init1(0)))),
    "watches": taken("watches", watch),
    "signals": taken("signals", lambda _: checked(libc.sigqueue(os.getpid(), int(signal.SIGRTMIN), None))),
    "queues": taken(
        "queues", lambda number: checked(libc.mq_open(f"/hog{number}".encode(), 0o102, 0o600, ctypes.byref(attributes)))
    ),
    "locked": taken("locked", lock),
    "terminals": taken("terminals", lambda _: os.openpty()),
}
print(json.dumps(found), flush=True)
sys.stdin.read()
for number in range(found["queues"]):
    libc.mq_unlink(f"/hog{number}".encode())
for file in files:
    os.unlink(file)
os.rmdir(place)
"""
_ALL: Final = ("instances", "watches", "signals", "queues", "locked", "terminals")
_LONG: Final = 120.0
_ONE_EACH: Final = dict.fromkeys(_ALL, 1)
_EXEC: Final = ("exec", "bash", "-c", 'echo ready; exec python3 -c "$@"', "hog", _HOG)


def taken(user: str, most: dict[str, int]) -> dict[str, int]:
    """How much a session of the user gets now, at most so much."""
    answer = inside('python3 -c "$@" </dev/null', _HOG, json.dumps(most), user=user, timeout=_LONG).ok().text
    found: dict[str, int] = json.loads(answer)
    return found


def taken_outside(most: dict[str, int], *words: str) -> dict[str, int]:
    """How much a process of the machine's gets now."""
    found: dict[str, int] = json.loads(on_machine(*words, "python3", "-c", _HOG, json.dumps(most), timeout=_LONG).text)
    return found


def test_a_session_that_takes_all_leaves_root_other_users_and_other_sessions_theirs() -> None:
    with session("alice", "pi-probe", *_EXEC, "{}") as hog:
        all_of_it = json.loads(hog.hear())
        assert all(all_of_it[name] > 0 for name in _ALL), all_of_it
        assert taken_outside(_ONE_EACH) == _ONE_EACH
        assert taken("bob", {}) == all_of_it
        assert taken("alice", {}) == all_of_it
        # Outside, the same user gets more than a session does.
        more = {name: count + 1 for name, count in all_of_it.items()}
        identity = agent("pi-probe")
        as_agent = ("setpriv", f"--reuid={identity.pw_uid}", f"--regid={identity.pw_gid}", "--clear-groups")
        assert taken_outside(more, *as_agent) == more, "the control"
        assert hog.wait(_LONG).status == 0


def test_a_session_has_limits_of_its_own_that_the_agent_cannot_change() -> None:
    shown = 'cd /proc/sys/user; for name in *; do echo "$name $(cat $name)"; done; echo 9 >max_user_namespaces'
    done = inside(shown)
    found = {name: int(limit) for name, limit in (line.split() for line in done.text.splitlines())}
    assert found["max_user_namespaces"] == found["max_net_namespaces"] == 128
    with open("/proc/sys/fs/inotify/max_user_instances", encoding="ascii") as file:
        assert found["max_inotify_instances"] == min(512, int(file.read()) // 16)
    assert done.status != 0 and "max_user_namespaces" in done.complaint


# Inotify instances, pending signals and pseudo-terminals.
_LIMITS: Final = """
cat /proc/sys/user/max_inotify_instances
ulimit -i
sed -n 's|.* /dev/pts .*[,]max=\\([0-9]*\\).*|\\1|p' /proc/self/mountinfo
"""


def test_a_host_user_with_many_sessions_gets_less_for_each_and_nobody_else_does() -> None:
    """Together they take less than the machine has, however many there are."""

    def limits(user: str) -> list[int]:
        return [int(limit) for limit in inside(_LIMITS, user=user).ok().text.split()]

    whole = limits("alice")
    assert len(whole) == 3 and whole[1:] == [1024, 128]
    with ExitStack() as running:
        for _ in range(7):
            running.enter_context(session("alice", "pi-probe", *IDLE))
        assert limits("alice") == whole
        running.enter_context(session("alice", "pi-probe", *IDLE))
        assert limits("alice") == [limit // 4 for limit in whole]
        assert limits("bob") == whole
    assert limits("alice") == whole


# Prints how many user namespaces it can have, one below the other process.
_NEST: Final = r"""
import ctypes, os, sys
libc, count = ctypes.CDLL(None, use_errno=True), 0
while count < 1000:
    wait, tell = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(tell, b"0" if libc.unshare(0x10000000) else b"1")
        os.close(tell)
        os.read(0, 1)
        os._exit(0)
    os.close(tell)
    if os.read(wait, 1) != b"1":
        break
    count += 1
print(count, flush=True)
"""


def test_namespaces_of_a_session_that_may_have_them_are_limited() -> None:
    with session("alice", "pi-open", "exec", "bash", "-c", 'echo ready; python3 -c "$1"; read -r', "x", _NEST) as hog:
        count = int(hog.hear())
        assert 100 < count <= 128
        for user in ("alice", "bob"):
            assert inside("unshare --user true", user=user, command="pi-open").ok()
        assert on_machine("unshare", "--user", "true").ok()
        on_machine("kill", "-9", str(hog.main_pid())).ok()


@pytest.mark.parametrize(("name", "number"), [("io_setup", 206), ("add_key", 248), ("keyctl", 250)])
def test_what_is_limited_for_the_whole_machine_or_user_alone_is_refused(name: str, number: int) -> None:
    call = (
        "import ctypes; l = ctypes.CDLL(None, use_errno=True); c = ctypes.c_ulong(0);"
        f" l.syscall({number}, 1, ctypes.byref(c)); print(ctypes.get_errno())"
    )
    assert os.uname().machine == "x86_64", name
    assert inside('python3 -c "$1"', call).ok().text == "1"
    assert on_machine("python3", "-c", call).ok().text != "1"


# -- before anything of the agent's runs


def test_no_program_runs_in_a_session_that_cannot_be_limited() -> None:
    arguments = ["-f", "-e", "trace=setns", "-e", "inject=setns:error=EPERM"]
    done, log = strace.trace(arguments, strace.runner("exec", "touch", "ran"), demo("alice"), _LONG)
    assert done.status == 69
    assert "could not be prepared for the sandbox" in done.complaint
    assert "setns" in log
    assert not (demo("alice") / "ran").exists()
    assert units("alice") == []


@pytest.fixture
def kept_waiting() -> Iterator[str]:
    """A session whose runner is stopped before it lets it run. Yields the unit's name."""
    slow = ("strace", "-f", "-o", "/dev/null", "-e", "trace=setns", "-e", "inject=setns:delay_enter=20000000")
    words = [*slow, *strace.runner("exec", "touch", "ran")]
    with subprocess.Popen(words, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=demo("alice")) as client:
        [unit] = until(lambda: units("alice"), "the unit exists")
        yield unit
        client.kill()


def _command(group: str) -> bytes:
    """The command line of the only process in a control group."""
    with open(f"{group}/cgroup.procs", encoding="ascii") as file:
        processes = file.read().split()
    with open(f"/proc/{processes[0]}/cmdline", "rb") as command:
        return command.read()


def test_a_session_whose_runner_and_guard_are_killed_before_it_runs_ends_by_itself(kept_waiting: str) -> None:
    group = f"/sys/fs/cgroup/pi.slice/pi-agent.slice/{kept_waiting}"
    until(lambda: os.path.exists(group) and b"launch.bash" in _command(group), "it waits")
    for name in ("guard", "runner"):
        for process in ours()[name]:
            process.kill(signal.SIGKILL)
    until(lambda: not os.path.exists(group), "it has ended")
    assert not (demo("alice") / "ran").exists()
    # Another launch removes what only these two would have removed.
    inside("true").ok()


def test_variables_that_load_code_act_on_the_agents_programs_alone() -> None:
    (home("alice") / ".pi/agent/.env").write_text("LD_PRELOAD=/nonexistent.so\nHOST=1\n")
    script = "tr '\\0' '\\n' </proc/1/environ; echo; echo own $LD_PRELOAD"
    done = inside(script)
    first, own = done.text.split("\n\n")
    assert "HOST=1" not in first and "LD_PRELOAD" not in first
    assert own == "own /nonexistent.so"
    assert as_user("alice", "true").status == 0
