"""What attempts reach for, made real: secrets, processes, sockets and devices of the machine, another session.

`standing` gives the facts that attempts get as `there`; all is gone again when it ends.
"""

from __future__ import annotations

import ctypes
import json
import os
import pwd
import shutil
import socket
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

from scenarios.guest import (
    FACTS,
    SHARED,
    Json,
    agent,
    as_user,
    demo,
    home,
    login,
    on_machine,
    pi,
    policy,
    probe,
    processes,
    session,
    staged,
    until,
)
from scenarios.test_sandbox_options import OTHER_HOST, listening

from escapes.case import Case

PROGRAM: Final = Path(__file__).with_name("inside.py").read_text(encoding="utf-8")
PATIENCE: Final = 120.0
_SECRET: Final = "checks-secret-of-bob"
_SHARED_MEMORY: Final = 0x50C5
_CONTROLS: Final = Path("/var/tmp/checks-controls")


@contextmanager
def _file(path: str | Path, text: str, mode: int = 0o644) -> Iterator[None]:
    """A file with this text, and the directories that it needs, until the end."""
    there = Path(path)
    made = [parent for parent in there.parents if not parent.exists()]
    there.parent.mkdir(parents=True, exist_ok=True)
    there.write_text(text, encoding="utf-8")
    there.chmod(mode)
    try:
        yield
    finally:
        there.unlink()
        for parent in made:
            shutil.rmtree(parent)


@contextmanager
def _running(*argv: str, user: str = "root") -> Iterator[int]:
    """A process of a user's, by its id."""
    identity = pwd.getpwnam(user)
    with subprocess.Popen(argv, user=identity.pw_uid, group=identity.pw_gid, extra_groups=[], cwd="/") as process:
        try:
            yield process.pid
        finally:
            process.kill()


@contextmanager
def _memory() -> Iterator[None]:
    """System V shared memory and a POSIX message queue that all may use."""
    library = ctypes.CDLL(None, use_errno=True)
    number = library.shmget(_SHARED_MEMORY, 4096, 0o1666)
    assert number >= 0, os.strerror(ctypes.get_errno())
    queue = library.mq_open(b"/checks-of-the-host", os.O_CREAT | os.O_RDWR, 0o666, None)
    assert queue >= 0, os.strerror(ctypes.get_errno())
    Path("/dev/mqueue/checks-of-the-host").chmod(0o666)
    try:
        yield
    finally:
        on_machine("ipcrm", "--shmem-id", str(number)).ok()
        library.mq_unlink(b"/checks-of-the-host")


@contextmanager
def _service() -> Iterator[str]:
    """A service of the machine's with a credential, by name."""
    name = "checks-escapes.service"
    words = ("--quiet", "--collect", f"--unit={name}", "--property=SetCredential=checks:a credential")
    on_machine("systemd-run", *words, "sleep", "1000").ok()
    try:
        yield name
    finally:
        on_machine("systemctl", "stop", name)


def _handle(path: Path) -> str:
    """The file handle (name_to_handle_at(2)) of a file, as bytes in hexadecimal digits."""
    library = ctypes.CDLL(None, use_errno=True)
    handle = ctypes.create_string_buffer((128).to_bytes(4, "little") + bytes(132))
    number = ctypes.c_int()
    result = library.name_to_handle_at(-100, os.fsencode(path), handle, ctypes.byref(number), 0)
    assert result == 0, os.strerror(ctypes.get_errno())
    return handle.raw.hex()


def _plant(project: Path, key: Path) -> None:
    """Put into the project what might lead out of it, or up."""
    links = project / "links"
    links.mkdir()
    for name, target in {
        "key": str(key),
        "ssh": str(key.parent),
        "double": "key",
        "cwd": "/proc/self/cwd/../../../.ssh/id_ed25519",
        "relative": "../" * 40 + str(key)[1:],
    }.items():
        (links / name).symlink_to(target)
    shutil.copy(shutil.which("id") or "", project / "become")
    (project / "become").chmod(0o6755)
    os.mknod(project / "node", 0o20666, os.makedev(1, 3))
    (project / "node").chmod(0o666)


def _journal() -> Path:
    """A file of the journal's."""
    return next(path for place in ("/var/log/journal", "/run/log/journal") for path in Path(place).rglob("*.journal"))


def _cgroup() -> Path:
    """The top of systemd's control groups: of its own hierarchy where version 1 is in use."""
    own = Path("/sys/fs/cgroup/systemd")
    return own if own.is_dir() else own.parent


def _cat(uid: int) -> int:
    """The process that a session waits with."""
    waiting = until(lambda: [one.pid for one in processes() if one.uid == uid and one.name == "cat"], "a session waits")
    return waiting[0]


def _archive(project: Path) -> Path:
    """A store path that is not in the store any more, as a file without a signature."""
    expression = (
        f'derivation {{ name = "checks-unsigned-{os.urandom(4).hex()}"; system = builtins.currentSystem;'
        ' builder = "/bin/sh"; args = [ "-c" "echo unsigned >$out" ]; }'
    )
    path = on_machine("nix-build", "--no-out-link", "--expr", expression).ok().text
    (project / "archive").write_bytes(on_machine("nix-store", "--export", path).ok().stdout)
    on_machine("nix-store", "--delete", path).ok()
    return project / "archive"


@contextmanager
def standing() -> Iterator[Json]:
    """Everything that attempts reach for, as facts for them."""
    alice, key, project = pwd.getpwnam("alice"), home("alice") / ".ssh/id_ed25519", demo("alice")
    other = home("alice") / "p/other"
    as_user(
        "alice",
        "sh",
        "-c",
        'mkdir "$0" ~/.config ~/.config/systemd ~/.config/systemd/user; echo x >"$0/file"; touch ~/.profile;'
        'echo "{}" >~/.pi/agent/auth.json',
        other,
    )
    (SHARED / "file").write_text("shared")
    _plant(project, key)
    probe(user="bob")
    # A session of the real configuration, so that there is state of another one.
    pi("hello").ok()
    with ExitStack() as stack:
        enter = stack.enter_context
        for place in ("/root/.checks-marker", "/tmp/checks-of-the-host", "/dev/shm/checks-of-the-host"):
            enter(_file(place, "the host's", 0o644))
        for place in (
            "/etc/cron.d/checks-there",
            "/var/spool/cron/crontabs/checks-there",
            "/var/spool/at/checks-there",
        ):
            enter(_file(place, "# nothing"))
        machine_key = Path("/var/lib/systemd/credential.secret")
        if not machine_key.exists():
            enter(_file(machine_key, "a key", 0o400))
        enter(_memory())
        port = enter(listening(socket.AF_INET, ("127.0.0.1", 0)))
        port6 = enter(listening(socket.AF_INET6, ("::1", 0)))
        far = enter(listening(socket.AF_INET, (OTHER_HOST, 0)))
        enter(listening(socket.AF_UNIX, "\0checks-of-the-host"))
        service = enter(_service())
        command = ("env", f"CHECKS={_SECRET}", "bash", "-c", "echo ready; cat >/dev/null")
        going = enter(session("bob", "pi-probe", "exec", *command))
        [staging] = [path for path in staged() if path.name == going.unit.removesuffix(".service")]
        host, _, model_port = FACTS["model"].partition("//")[2].partition("/")[0].partition(":")
        state = Path(policy("pi-probe")["stateDir"])
        bobs = state / "users/bob/kept"
        bobs.write_text("bob's")
        scratch = Path("/var/tmp/checks-scratch")
        enter(_file(scratch, "root's"))
        yield {
            "uid": alice.pw_uid,
            "groups": os.getgrouplist("alice", alice.pw_gid),
            "agent": agent("pi-probe").pw_uid,
            "home": str(home("alice")),
            "project": str(project),
            "key": str(key),
            "handle": _handle(key),
            "journal": str(_journal()),
            "policy": FACTS["variants"]["pi-probe"]["policy"],
            "runner": FACTS["variants"]["pi-probe"]["runner"],
            "wrapper": shutil.which("pi-probe", path="/run/current-system/sw/bin:/usr/bin"),
            "program": os.path.realpath(shutil.which("sh") or ""),
            "scratch": str(scratch),
            "become": str(project / "become"),
            "node": str(project / "node"),
            "sleeper": enter(_running("bash", "-c", "sleep 1000; true", "checks-of-the-host")),
            "own": enter(_running("sleep", "1000", user="alice")),
            "other": _cat(agent("pi-probe").pw_uid),
            "staging": str(staging),
            "shm": _SHARED_MEMORY,
            "service": service,
            "credential": f"/run/credentials/{service}/checks",
            "machine_key": str(machine_key),
            "bobs_state": str(bobs),
            "state_directory": str(state),
            "base_state": f"{policy('pi')['stateDir']}/users/alice/.pi/agent/settings.json",
            "memory": str(next((state / "sync/bob").glob("*.json"))),
            "cgroup": str(_cgroup()),
            "archive": str(_archive(project)),
            "port": port,
            "port6": port6,
            "port_far": far,
            "model": host,
            "model_port": int(model_port),
        }


# -- making the attempts

Answers = dict[str, str]


def _work(facts: Json, attempts: Mapping[str, str], *, apart: bool = False) -> bytes:
    return json.dumps({"there": facts, "attempts": attempts, "apart": apart}).encode()


def made(cases: Iterable[Case], facts: Json) -> Answers:
    """The answers to the attempts of cases, by id: one session for each variant."""
    found: Answers = {}
    cases = list(cases)
    for variant in sorted({case.variant for case in cases}):
        attempts = {case.id: case.attempt for case in cases if case.variant == variant}
        found |= _inside(variant, attempts, facts)
    return found


def controls(cases: Iterable[Case], facts: Json) -> Answers:
    """The answers to the controls of cases, by id."""
    found: Answers = {}
    cases = list(cases)
    shutil.rmtree(_CONTROLS, ignore_errors=True)
    _CONTROLS.mkdir()
    for who in sorted({case.control.who for case in cases}):
        attempts = {case.id: case.control.attempt or case.attempt for case in cases if case.control.who == who}
        found |= _inside(who, attempts, facts) if who.startswith("pi-") else _outside(who, attempts, facts)
    shutil.rmtree(_CONTROLS)
    return found


def _inside(variant: str, attempts: Mapping[str, str], facts: Json) -> Answers:
    words = (variant, "exec", "python3", "-c", PROGRAM)
    result = as_user("alice", *words, stdin=_work(facts, attempts), timeout=PATIENCE).ok()
    return _answers(result.stdout)


def _outside(who: str, attempts: Mapping[str, str], facts: Json) -> Answers:
    identity = pwd.getpwuid(facts["agent"]) if who == "agent" else pwd.getpwnam(who)
    place = _CONTROLS / who
    place.mkdir()
    os.chown(place, identity.pw_uid, identity.pw_gid)
    words = ["env", f"--chdir={place}", "python3", "-c", PROGRAM]
    if who == "agent":
        ids = (f"--reuid={identity.pw_uid}", f"--regid={identity.pw_gid}", "--clear-groups")
        words = ["setpriv", *ids, *words]
    elif who != "root":
        words = [os.fsdecode(word) for word in login(who, words[2:], place)]
    # What root mounts and renames is to be root's own.
    work = _work(facts, attempts, apart=who == "root")
    return _answers(on_machine(*words, stdin=work, timeout=PATIENCE).ok().stdout)


def _answers(output: bytes) -> Answers:
    value: Answers = json.loads(output)
    return value


def kept(path: str) -> tuple[Any, ...] | None:
    """How a path outside stands."""
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return None
    content = Path(path).read_bytes() if os.path.isfile(path) and not os.path.islink(path) else b""
    owner = (status.st_uid, status.st_gid)
    return (status.st_ino, status.st_mode, status.st_nlink, *owner, status.st_size, status.st_mtime_ns, content)


def setid_below(*places: Path) -> list[str]:
    """The setuid and setgid files below places."""
    return on_machine("find", *places, "-type", "f", "-perm", "/6000").ok().text.split()
