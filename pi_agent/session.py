"""One session from staging to clean-up: the only room whose effects outlive a call.

Runs as root. It leaves nothing behind, however it ends: everything of a session is in one staging directory and one
unit, both named by a random id of ours; a guard, forked before anything is staged, removes them when the runner is
gone, even by SIGKILL. Should both be killed at once, the next launch finds the staging directory unlocked and does
the same.
"""

from __future__ import annotations

import fcntl
import os
import re
import select
import signal
import stat
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from pi_agent import mounts, process, refusals
from pi_agent.policy import Tools

STAGING: Final = "/run/pi-agent"
SLICE: Final = "pi-agent.slice"
_UNIT_PREFIX: Final = "pi-agent-"
_LOCK: Final = "lock"
_PROJECT: Final = "project"
_STATE: Final = "state"
_ROOT: Final = "root"
_ARGV: Final = "argv"
_STARTED: Final = "started"
_ENDED: Final = b"ended"

_CLD_EXITED: Final = "1"  # siginfo's si_code as ExecMainCode= shows it (sigaction(2)); others died of a signal
_RELAY_PATIENCE: Final = 2.0


@dataclass(frozen=True, slots=True)
class Session:
    """unit: the service's name. directory: its staging directory, which only root can enter."""

    unit: str
    directory: str

    @property
    def project(self) -> str:
        """Where the project root is staged."""
        return f"{self.directory}/{_PROJECT}"

    @property
    def state(self) -> str:
        """Where the state tree is staged."""
        return f"{self.directory}/{_STATE}"

    @property
    def root(self) -> str:
        """The directory that becomes the sandbox's root."""
        return f"{self.directory}/{_ROOT}"

    @property
    def open_files(self) -> list[str]:
        """The unit's OpenFile= entries, in the order launch.bash expects them."""
        return [f"{self.directory}/{_ARGV}:argv:read-only", f"{self.directory}/{_STARTED}:started:append"]


@dataclass(frozen=True, slots=True)
class Start:
    """How to start a session: systemd-run's argv and environment (TERM and the like); whether on a terminal."""

    argv: list[str]
    environ: Mapping[str, str]
    terminal: bool


@contextmanager
def opened(tools: Tools, user: str) -> Iterator[Session]:
    """A new session for the host user, with its staging directory made and guarded; cleaned up when left.

    Raises Refusal (69) when it cannot be made.
    """
    try:
        session, lock = _create(tools, user)
    except OSError as error:
        raise refusals.staging_failed(STAGING, error.strerror or str(error)) from error
    guard = _Guard(tools, session)
    ended = False
    try:
        yield session
        ended = True
    finally:
        guard.dismiss(ended=ended)
        os.close(lock)


def _create(tools: Tools, user: str) -> tuple[Session, int]:
    """Sweep what dead runners left, then make the staging directory and lock it. Returns the session and its lock."""
    try:
        os.mkdir(STAGING, 0o700)
    except FileExistsError:
        pass
    top = os.open(STAGING, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        status = os.fstat(top)
        if status.st_uid != 0 or stat.S_IMODE(status.st_mode) & 0o077:
            raise refusals.staging_failed(STAGING, "others than root can enter it")
        # Held while making and while sweeping: no session is ever seen without its lock.
        fcntl.flock(top, fcntl.LOCK_EX)
        for name in os.listdir(top):
            _sweep(tools, name)
        name = f"{_UNIT_PREFIX}{re.sub('[^A-Za-z0-9_.-]', '_', user)}-{os.urandom(8).hex()}"
        session = Session(f"{name}.service", f"{STAGING}/{name}")
        os.mkdir(session.directory, 0o700)
        lock = os.open(f"{session.directory}/{_LOCK}", os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX)
        return session, lock
    finally:
        os.close(top)


def _sweep(tools: Tools, name: str) -> None:
    """Clean up after the session called name if no runner or guard of it lives."""
    session = Session(f"{name}.service", f"{STAGING}/{name}")
    try:
        lock = os.open(f"{session.directory}/{_LOCK}", os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        _clean_up(tools, session, ended=False)
        return
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _clean_up(tools, session, ended=False)
    except BlockingIOError:
        pass
    finally:
        os.close(lock)


class _Guard:
    """A forked process that cleans up after the session when the runner is done with it, or when the runner or the
    sudo above it is dead."""

    def __init__(self, tools: Tools, session: Session) -> None:
        self._tools = tools
        self._session = session
        above = os.pidfd_open(os.getppid())
        listen, self._tell = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            os.close(self._tell)
            _stand_guard(tools, session, listen, above)
        os.close(listen)
        os.close(above)

    def dismiss(self, *, ended: bool) -> None:
        """Have the session cleaned up, and wait until it is. ended: its unit is gone already."""
        try:
            os.write(self._tell, _ENDED if ended else b"")
        except BrokenPipeError:
            pass
        os.close(self._tell)
        if process.wait(self._pid) != 0:  # somebody killed the guard
            _clean_up(self._tools, self._session, ended=False)


def _stand_guard(tools: Tools, session: Session, listen: int, above: int) -> None:
    """The guard's whole life. It holds none of the caller's streams: a pipe must close when the session ends.

    listen: the runner's word, or its death. above: the death of the process that started the runner.
    """
    status = 1
    try:
        os.setsid()
        for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGTSTP):
            signal.signal(number, signal.SIG_IGN)
        null = os.open("/dev/null", os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(null, stream)
        with open("/proc/self/comm", "w", encoding="ascii") as name:
            name.write("pi-agent-guard")
        events = select.poll()
        events.register(listen, select.POLLIN)
        events.register(above, select.POLLIN)
        ready = {descriptor for descriptor, _ in events.poll()}
        ended = listen in ready and os.read(listen, len(_ENDED)) == _ENDED
        _clean_up(tools, session, ended=ended)
        status = 0
    finally:
        os._exit(status)


def _clean_up(tools: Tools, session: Session, *, ended: bool) -> None:
    """Remove the session's unit, mounts and files; each may be there or not. ended: the unit has ended by itself."""
    if not ended:
        process.run([tools.systemctl, "stop", session.unit], accept=range(256))
        process.run([tools.systemctl, "reset-failed", session.unit], accept=range(256))
    mounts.unstage(tools, [session.project, session.state])
    try:
        device = os.stat(session.directory, follow_symlinks=False).st_dev
    except FileNotFoundError:
        return
    _remove(session.directory, device)


def _remove(directory: str, device: int) -> None:
    """Remove the directory with all below it. Nothing on another device is touched: rmdir(2) fails on a mount point
    that could not be unmounted, and then the rest stays too, for the next sweep."""
    with os.scandir(directory) as entries:
        for entry in entries:
            status = entry.stat(follow_symlinks=False)
            if not stat.S_ISDIR(status.st_mode):
                os.unlink(entry.path)
            elif status.st_dev == device:
                _remove(entry.path, device)
    os.rmdir(directory)


def supervised(tools: Tools, *, terminal: bool) -> list[str]:
    """What stands before Pi's own command: a first process that passes signals on and reports 128 + n (tini(1)).

    At a terminal the session's process group must own it: systemd took the terminal before it made the namespace of
    process ids, so that from inside nobody seems to (setsid(1), --ctty).
    """
    first = [tools.tini, "-s", "--"]
    return [tools.setsid, "--ctty", *first] if terminal else first


def prepare(session: Session, argv: Sequence[str], links: Sequence[tuple[str, str]]) -> None:
    """Make the staging directory's inside.

    argv: the directory to start in, then the command. links: (path, target) of the symbolic links in the sandbox's
    root. Raises Refusal (69).
    """
    try:
        for directory in (session.project, session.state, session.root):
            os.mkdir(directory, 0o755)
        for path, target in links:
            where = f"{session.root}{path}"
            os.makedirs(os.path.dirname(where), 0o755, exist_ok=True)
            os.symlink(target, where)
        _write(f"{session.directory}/{_ARGV}", b"".join(os.fsencode(word) + b"\0" for word in argv))
        _write(f"{session.directory}/{_STARTED}", b"")
    except OSError as error:
        raise refusals.staging_failed(session.directory, error.strerror or str(error)) from error


def prepare_environment(session: Session, layers: Sequence[bytes]) -> list[str]:
    """Write each layer into a file of its own and return the files' paths. Raises Refusal (69)."""
    try:
        files = []
        for number, layer in enumerate(layers):
            files.append(f"{session.directory}/env-{number}")
            _write(files[-1], layer)
        return files
    except OSError as error:
        raise refusals.staging_failed(session.directory, error.strerror or str(error)) from error


def _write(path: str, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with open(descriptor, "wb") as file:
        file.write(content)


def on_terminal() -> bool:
    """Whether input and output are a terminal both; otherwise streams are passed on as they are."""
    return os.isatty(0) and os.isatty(1)


def command(tools: Tools, launcher: str, session: Session, properties: Sequence[str], *, terminal: bool) -> list[str]:
    """The systemd-run(1) command that starts the session. A pure function."""
    argv = [
        tools.systemd_run,
        "--quiet",
        "--wait",
        "--expand-environment=no",
        "--service-type=exec",
        f"--unit={session.unit}",
        f"--slice={SLICE}",
        "--description=Pi coding agent",
        # No tint of the terminal's background (since version 256).
        *(["--pty", "--background="] if terminal else ["--pipe"]),
    ]
    argv += [f"--property={each}" for each in properties]
    return [*argv, "--", tools.bash, "-p", launcher]


def conduct(tools: Tools, session: Session, start: Start) -> int:
    """Run the session to its end, passing signals on, and return Pi's exit status.

    Raises Refusal (69) when the unit did not come to run Pi.
    """
    relay = _Relay(tools, session)
    # At a terminal systemd-run must stay in the foreground group, to read the keys and learn of resizes; Ctrl-C
    # arrives there as a byte. Elsewhere Ctrl-C signals the whole group, and must only reach us.
    child = process.start(start.argv, start.environ, own_group=not start.terminal)
    with relay:
        status = process.wait(child)
    if status == 0:
        return 0
    shown = process.run(
        [tools.systemctl, "show", "--property=ActiveState,ExecMainCode,ExecMainStatus", session.unit]
    ).output
    facts = dict(line.partition("=")[::2] for line in shown.splitlines())
    if facts.get("ActiveState") not in ("inactive", "failed"):  # systemd-run died before the unit did
        process.run([tools.systemctl, "stop", session.unit], accept=range(256))
    process.run([tools.systemctl, "reset-failed", session.unit], accept=range(256))
    if not _has_started(session):
        raise refusals.session_not_started(session.unit)
    code, number = facts.get("ExecMainCode"), int(facts.get("ExecMainStatus", "0"))
    if code == "0":
        return status
    return number if code == _CLD_EXITED else 128 + number


def _has_started(session: Session) -> bool:
    try:
        return os.stat(f"{session.directory}/{_STARTED}").st_size > 0
    except FileNotFoundError:  # the guard has cleaned up already: whoever started us is gone
        return True


class _Relay:
    """While entered, signals to the runner go to Pi: INT and QUIT as they are, TERM and HUP as a stop of the unit."""

    def __init__(self, tools: Tools, session: Session) -> None:
        self._tools = tools
        self._unit = session.unit
        self._old: dict[int, object] = {}

    def __enter__(self) -> None:
        for number in (signal.SIGINT, signal.SIGQUIT):
            self._old[number] = signal.signal(number, self._pass_on)
        for number in (signal.SIGTERM, signal.SIGHUP):
            self._old[number] = signal.signal(number, self._stop)

    def __exit__(self, *_: object) -> None:
        for number in self._old:
            signal.signal(number, signal.SIG_IGN)  # nothing may interrupt the clean-up that follows

    def _pass_on(self, number: int, _frame: object) -> None:
        self._systemctl("kill", "--kill-whom=main", f"--signal={number}", self._unit)

    def _stop(self, _number: int, _frame: object) -> None:
        self._systemctl("stop", "--no-block", self._unit)

    def _systemctl(self, *arguments: str) -> None:
        """The unit may be a moment away from existing; a signal that came early is delivered late, not lost."""
        deadline = time.monotonic() + _RELAY_PATIENCE
        while process.run([self._tools.systemctl, *arguments], accept=range(256)).status != 0:
            if time.monotonic() > deadline:
                return
            time.sleep(0.05)
