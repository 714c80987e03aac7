"""What scenarios do to the machine they run on, as its root: log people in, start commands, look at what is left.

Nothing here knows which machine that is, apart from what /etc/pi-agent-checks.json says: `variants`, from the name of
a command to the policy, runner and wrapper behind it; `model`, where the scripted model listens; `probe`, the program
that most variants run instead of Pi; `sudo`.
"""

from __future__ import annotations

import json
import os
import pwd
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final, TypeVar

import pexpect

Json = dict[str, Any]
Word = str | bytes | os.PathLike[str]
T = TypeVar("T")

FACTS: Final[Json] = json.loads(Path("/etc/pi-agent-checks.json").read_text(encoding="utf-8"))
STAGING: Final = Path("/run/pi-agent")
SECRETS: Final = Path("/etc/pi-agent-secrets")
SHARED: Final = Path("/srv/shared")
UNITS: Final = "pi-agent-*.service"
GUARD: Final = "pi-agent-guard"
# How long anything may take before it counts as stuck, in seconds.
PATIENCE: Final = 30.0
# How long a session may take to be gone without a trace, in seconds.
CLEAN_WITHIN: Final = 5.0

# Run by the user's login shell, as this text and nothing of ours: arguments stay arguments.
_IN_DIRECTORY: Final = 'cd -- "$1" && shift && exec "$@"'
# The leader of a terminal's session must die with the terminal for the others to be told; runuser blocks that signal.
_LEADER: Final = '"$@"; exit $?'
_CLEAN: Final = {
    "PATH": "/run/wrappers/bin:/run/current-system/sw/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LANG": "C.UTF-8",
}


@dataclass(frozen=True, slots=True)
class Result:
    """A command that ended: its exit status (128 + n when signal n ended it), standard output and error."""

    status: int
    stdout: bytes
    stderr: bytes

    @property
    def text(self) -> str:
        """Standard output without white space at its ends."""
        return self.stdout.decode("utf-8", "backslashreplace").strip()

    @property
    def complaint(self) -> str:
        """Standard error, with line breaks as spaces, so that a sentence can be looked for."""
        return " ".join(self.stderr.decode("utf-8", "backslashreplace").split())

    def ok(self) -> Result:
        """This result, if it is a success."""
        assert self.status == 0, f"exit status {self.status}\n{self.text}\n{self.complaint}"
        return self


def home(user: str) -> Path:
    """A user's home directory."""
    return Path(pwd.getpwnam(user).pw_dir)


def demo(user: str) -> Path:
    """The project of a user's that fixtures made."""
    return home(user) / "p" / "demo"


@cache
def policy(variant: str = "pi") -> Json:
    """The frozen policy of a variant, with the host users' files in the place of their paths."""
    value: Json = json.loads(Path(FACTS["variants"][variant]["policy"]).read_text(encoding="utf-8"))
    users = {name: json.loads(Path(file).read_text(encoding="utf-8")) for name, file in value["hostUsers"].items()}
    return {**value, "hostUsers": users}


@cache
def pi_package() -> Path:
    """A directory that has the real Pi and all its modules below it: what its program is in, or names."""
    program = Path(policy()["program"]).resolve()
    named = re.findall(rb"/nix/store/[0-9a-z]{32}-[^/\s\"']+", program.read_bytes())
    places = [program.parents[1], *(Path(os.fsdecode(path)) for path in named)]
    return next(place for place in places if any(place.glob("**/pi-coding-agent/dist/core/auth-storage.js")))


@cache
def agent(variant: str = "pi") -> pwd.struct_passwd:
    """The isolated user of a variant."""
    return pwd.getpwnam(policy(variant)["user"])


def state(user: str, variant: str = "pi") -> Path:
    """The tree that user's agent sees as its home."""
    return Path(policy(variant)["stateDir"]) / "users" / user


def isolated(user: str, name: str, variant: str = "pi") -> Path:
    """A file in Pi's directory inside."""
    return state(user, variant) / ".pi" / "agent" / name


def login(user: str, argv: Sequence[Word], cwd: Path | str | None = None) -> list[Word]:
    """The command that logs user in and becomes argv in the directory cwd (their project)."""
    directory = os.fspath(cwd if cwd is not None else demo(user))
    return ["runuser", "--login", "--session-command", _IN_DIRECTORY, "--", user, "sh", directory, *argv]


def as_user(
    user: str,
    *argv: Word,
    cwd: Path | str | None = None,
    stdin: bytes = b"",
    timeout: float = PATIENCE,
) -> Result:
    """Log user in and run argv to its end, without a terminal."""
    return on_machine(*login(user, argv, cwd), stdin=stdin, timeout=timeout)


def on_machine(*argv: Word, stdin: bytes = b"", timeout: float = PATIENCE, env: Mapping[str, str] = _CLEAN) -> Result:
    """Run argv to its end as root."""
    done = subprocess.run(argv, input=stdin, capture_output=True, check=False, timeout=timeout, env=env, cwd="/")
    return Result(_status(done.returncode), done.stdout, done.stderr)


def _status(code: int) -> int:
    return code if code >= 0 else 128 - code


def inside(
    script: str,
    *arguments: Word,
    user: str = "alice",
    command: str = "pi-probe",
    cwd: Path | str | None = None,
    stdin: bytes = b"",
    timeout: float = PATIENCE,
) -> Result:
    """Run a bash script inside the sandbox of a variant that runs the probe."""
    words = (command, "exec", "bash", "-c", script, "script", *arguments)
    return as_user(user, *words, cwd=cwd, stdin=stdin, timeout=timeout)


def probe(
    *arguments: Word, user: str = "alice", command: str = "pi-probe", cwd: Path | str | None = None, stdin: bytes = b""
) -> Json:
    """What a program in the sandbox of a variant is given; see checks/guest/probe.py."""
    value: Json = json.loads(as_user(user, command, *arguments, cwd=cwd, stdin=stdin).ok().stdout)
    return value


def pi(prompt: str, *arguments: Word, user: str = "alice", cwd: Path | str | None = None) -> Result:
    """One turn of the real Pi; `run: COMMAND` has the scripted model call the bash tool."""
    return as_user(user, "pi", *arguments, "-p", prompt, cwd=cwd)


def asked_of_the_model() -> str:
    """What the scripted model was asked last, and with which key."""
    on_machine("journalctl", "--sync").ok()
    return on_machine("journalctl", "--unit=model-server", "--lines=20", "--output=cat").ok().text


def terminal(
    user: str,
    *argv: Word,
    cwd: Path | str | None = None,
    size: tuple[int, int] = (24, 80),
    term: str = "xterm-256color",
) -> pexpect.spawn:
    """Log user in on a new terminal, and run argv there. size: rows and columns."""
    words = [os.fsdecode(word) for word in ("-c", _LEADER, "leader", *login(user, argv, cwd))]
    return pexpect.spawn("sh", words, env={**_CLEAN, "TERM": term}, dimensions=size, timeout=PATIENCE, cwd="/")


def ended(screen: pexpect.spawn) -> int:
    """The exit status of what ran on a terminal, once that has ended."""
    screen.expect(pexpect.EOF)
    screen.close()
    assert screen.exitstatus is not None, f"signal {screen.signalstatus} ended the terminal's leader"
    return int(screen.exitstatus)


def hang_up(screen: pexpect.spawn) -> None:
    """Take the terminal away, as a window that is closed or a lost connection does."""
    os.close(screen.child_fd)
    os.waitpid(screen.pid, 0)
    screen.closed = screen.terminated = True


def until(condition: Callable[[], T], what: str, seconds: float = PATIENCE) -> T:
    """Wait until condition gives something true, and return that."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"after {seconds} seconds still not: {what}"
        time.sleep(0.02)
    return value


# -- sessions that are going on


@dataclass(frozen=True, slots=True)
class Session:
    """A command of a user's that goes on: client, what the user started; unit, the session's."""

    client: subprocess.Popen[bytes]
    unit: str

    def settled(self) -> Session:
        """This session, once systemd has done all its work for the start.

        A stop in the first moments ends the unit in other ways than later; what then counts is tested apart.
        """
        settle(self.unit)
        return self

    def main_pid(self) -> int:
        """The first process inside."""
        return int(shown(self.unit, "MainPID"))

    def wait(self, seconds: float = PATIENCE) -> Result:
        """Let it end, with its standard input at an end."""
        output, complaint = self.client.communicate(timeout=seconds)
        return Result(_status(self.client.returncode), output, complaint)

    def say(self, text: bytes) -> None:
        """Write a line to its standard input."""
        assert self.client.stdin is not None
        self.client.stdin.write(text + b"\n")
        self.client.stdin.flush()

    def hear(self) -> bytes:
        """Read a line of its standard output."""
        assert self.client.stdout is not None
        return self.client.stdout.readline().rstrip(b"\n")


@contextmanager
def session(user: str, *argv: Word, cwd: Path | str | None = None) -> Iterator[Session]:
    """Start argv, which must print a line once it is inside, and give it while it runs; then it is ended."""
    before = set(units(user))
    client = subprocess.Popen(
        login(user, argv, cwd),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=_CLEAN,
        cwd="/",
        start_new_session=True,
    )
    try:
        assert client.stdout is not None
        first = client.stdout.readline()
        if not first:
            output, complaint = client.communicate(timeout=PATIENCE)
            raise AssertionError(f"the session did not begin: {output!r} {complaint!r}")
        [unit] = set(units(user)) - before
        yield Session(client, unit)
    finally:
        for stream in (client.stdin, client.stdout, client.stderr):
            if stream is not None and not stream.closed:
                try:
                    stream.close()
                except BrokenPipeError:
                    pass
        try:
            client.wait(CLEAN_WITHIN)
        except subprocess.TimeoutExpired:
            for name in set(units(user)) - before:
                on_machine("systemctl", "stop", name)
            client.wait(PATIENCE)


def settle(unit: str, seconds: float = 0.6) -> None:
    """Wait until a session's unit has run for a moment."""
    main = Path("/proc") / shown(unit, "MainPID")
    until(lambda: time.time() - main.stat().st_ctime > seconds, f"{unit} has run for {seconds} seconds")


# What a session does that only has to be there: say so, then wait for the end of its input.
IDLE: Final = ("exec", "bash", "-c", "echo ready; cat >/dev/null")


def units(user: str = "") -> list[str]:
    """The session units that systemd knows, of one user or of all, dead ones too."""
    return [line.split()[0] for line in _listed(f"pi-agent-{user}-*.service" if user else UNITS)]


def every_unit() -> list[str]:
    """Every unit that systemd knows of, each with its states."""
    return _listed("*")


def _listed(pattern: str) -> list[str]:
    """The units with a name of that pattern, each with its states."""
    return on_machine("systemctl", "list-units", "--all", "--plain", "--no-legend", pattern).ok().text.splitlines()


def shown(unit: str, name: str) -> str:
    """A property of a unit."""
    return on_machine("systemctl", "show", "--value", f"--property={name}", unit).ok().text


@dataclass(frozen=True, slots=True)
class Process:
    """A process of this machine: its id, short name, words and uid."""

    pid: int
    name: str
    words: tuple[str, ...]
    uid: int

    def kill(self, number: signal.Signals) -> None:
        """Send it a signal."""
        os.kill(self.pid, number)

    def there(self) -> bool:
        """Whether it still runs."""
        try:
            return "\nState:\tZ" not in Path(f"/proc/{self.pid}/status").read_text(encoding="utf-8")
        except (FileNotFoundError, ProcessLookupError):
            return False


def processes() -> list[Process]:
    """Every process of this machine that is not a kernel's thread or a zombie."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            words = (entry / "cmdline").read_bytes()
            name = (entry / "comm").read_text(encoding="utf-8", errors="replace").strip()
            uid = entry.stat().st_uid
        except (FileNotFoundError, ProcessLookupError):
            continue
        if words:
            split = words.decode("utf-8", "backslashreplace").rstrip("\0").split("\0")
            found.append(Process(int(entry.name), name, tuple(split), uid))
    return found


def ours(among: Sequence[Process] | None = None) -> dict[str, list[Process]]:
    """The processes outside that make up sessions: `sudo`, `runner`, `guard`, `systemd-run`."""
    found: dict[str, list[Process]] = {"sudo": [], "runner": [], "guard": [], "systemd-run": []}
    for process in processes() if among is None else among:
        program = os.path.basename(process.words[0])
        if process.name == GUARD:
            found["guard"].append(process)
        elif process.name == "systemd-run":
            found["systemd-run"].append(process)
        elif program == "sudo" and any(facts["runner"] in process.words for facts in FACTS["variants"].values()):
            found["sudo"].append(process)
        # The runner is a wrapped script: its interpreter, and beside the program the file that it was wrapped from.
        elif program.startswith("python3") and len(process.words) > 1 and _is_runner(process.words[1]):
            found["runner"].append(process)
    return found


def _is_runner(path: str) -> bool:
    directories = {os.path.dirname(facts["runner"]) for facts in FACTS["variants"].values()}
    return os.path.dirname(path) in directories


def staged() -> list[Path]:
    """The directories that sessions are staged in; each has the name of its unit."""
    return sorted(path for path in STAGING.rglob("pi-agent-*") if path.is_dir())


def groups() -> dict[Path, str]:
    """The control groups of sessions, those too that systemd knows no unit of, with the ids of their processes."""
    found = {}
    for path in Path("/sys/fs/cgroup").rglob("pi-agent-*.service"):
        try:
            found[path] = (path / "cgroup.procs").read_text(encoding="utf-8").strip()
        except OSError:  # it is gone, or about to be
            continue
    return found


def leftovers() -> list[str]:
    """What is there of sessions: units, processes in control groups, staging directories, mounts, processes.

    An empty control group without a unit is systemd's: it gives up a directory that is not empty when it is to be
    removed, but is when it is looked at once more (unit_prune_cgroup). Scenarios and escapes tell of them at their end.
    """
    found = [f"unit {line}" for line in _listed(UNITS)]
    found += [f"control group {path} of {pids.split()}" for path, pids in groups().items() if pids]
    found += [f"entry {entry}" for entry in STAGING.rglob("*")]
    mounted = Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()
    found += [f"mount {line}" for line in mounted if f" {STAGING}/" in line]
    running = processes()
    found += [f"{kind} {process}" for kind, group in ours(running).items() for process in group]
    agents = {agent(variant).pw_uid for variant in FACTS["variants"]}
    found += [f"process {process}" for process in running if process.uid in agents]
    return found


def assert_clean(seconds: float = CLEAN_WITHIN) -> None:
    """Wait until nothing of any session is there; say what is left where that does not come about."""
    deadline = time.monotonic() + seconds
    while left := leftovers():
        assert time.monotonic() < deadline, f"left behind after {seconds} seconds: " + "\n".join(left)
        time.sleep(0.02)
