"""Real targets for the attempts: secrets, processes, sockets and devices of the machine, and another session.

`standing` yields the facts that attempts get as `there`. Everything is removed afterwards.
"""

from __future__ import annotations

import ctypes
import os
import pwd
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from support.commands import as_user, on_machine, pi, probe
from support.installed import FACTS, SHARED, Json, agent, demo, home, memory, policy
from support.leftovers import staged
from support.processes import processes
from support.servers import OTHER_HOST, listening
from support.sessions import session
from support.waiting import until

_SECRET: Final = "checks-secret-of-bob"
_SHARED_MEMORY: Final = 0x50C5


@contextmanager
def _file(path: str | Path, text: str, mode: int = 0o644) -> Iterator[None]:
    """A file with this text, and the directories that it needs, until exit."""
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
    """A process of a user. Yields its id."""
    identity = pwd.getpwnam(user)
    with subprocess.Popen(argv, user=identity.pw_uid, group=identity.pw_gid, extra_groups=[], cwd="/") as process:
        try:
            yield process.pid
        finally:
            process.kill()


@contextmanager
def _memory() -> Iterator[None]:
    """System V shared memory and a POSIX message queue that everybody may use."""
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
    """A service of the machine with a credential. Yields its name."""
    name = "checks-escapes.service"
    words = ("--quiet", "--collect", f"--unit={name}", "--property=SetCredential=checks:a credential")
    on_machine("systemd-run", *words, "sleep", "1000").ok()
    try:
        yield name
    finally:
        on_machine("systemctl", "stop", name)


def _handle(path: Path) -> str:
    """The file handle (name_to_handle_at(2)) of a file, as hexadecimal digits."""
    library = ctypes.CDLL(None, use_errno=True)
    handle = ctypes.create_string_buffer((128).to_bytes(4, "little") + bytes(132))
    number = ctypes.c_int()
    result = library.name_to_handle_at(-100, os.fsencode(path), handle, ctypes.byref(number), 0)
    assert result == 0, os.strerror(ctypes.get_errno())
    return handle.raw.hex()


def _plant(project: Path, key: Path) -> None:
    """Put into the project what might lead out of it, or to more rights."""
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
    """A file of the journal."""
    return next(path for place in ("/var/log/journal", "/run/log/journal") for path in Path(place).rglob("*.journal"))


def _cgroup() -> Path:
    """The top of systemd's control groups; with version 1, of its own hierarchy."""
    own = Path("/sys/fs/cgroup/systemd")
    return own if own.is_dir() else own.parent


def _cat(uid: int) -> int:
    """The process with which a session waits."""
    waiting = until(lambda: [one.pid for one in processes() if one.uid == uid and one.name == "cat"], "a session waits")
    return waiting[0]


def _archive(project: Path) -> Path:
    """A store path that is no longer in the store, as a file without a signature."""
    expression = (
        f'derivation {{ name = "checks-unsigned-{os.urandom(4).hex()}"; system = builtins.currentSystem;'
        ' builder = "/bin/sh"; args = [ "-c" "echo unsigned >$out" ]; }'
    )
    path = on_machine("nix-build", "--no-out-link", "--expr", expression).ok().text
    (project / "archive").write_bytes(on_machine("nix-store", "--export", path).ok().stdout)
    on_machine("nix-store", "--delete", path).ok()
    return project / "archive"


def _people(project: Path, key: Path) -> None:
    """People's own files, and state of two configurations."""
    make = (
        'mkdir "$0" ~/.config ~/.config/systemd ~/.config/systemd/user; echo x >"$0/file"; touch ~/.profile;'
        'echo "{}" >~/.pi/agent/auth.json'
    )
    as_user("alice", "sh", "-c", make, home("alice") / "p/other")
    (SHARED / "file").write_text("shared")
    _plant(project, key)
    probe(user="bob")
    pi("hello").ok()


@contextmanager
def _files() -> Iterator[Json]:
    """Files of the machine, in places with one file each for every reader, for root, or for a service."""
    machine_key, scratch = Path("/var/lib/systemd/credential.secret"), Path("/var/tmp/checks-scratch")
    with ExitStack() as stack:
        for place in ("/root/.checks-marker", "/tmp/checks-of-the-host", "/dev/shm/checks-of-the-host"):
            stack.enter_context(_file(place, "the host's"))
        for place in ("/etc/cron.d", "/var/spool/cron/crontabs", "/var/spool/at"):
            stack.enter_context(_file(f"{place}/checks-there", "# nothing"))
        if not machine_key.exists():
            stack.enter_context(_file(machine_key, "a key", 0o400))
        stack.enter_context(_file(scratch, "root's"))
        # The probe has no compile cache. Were it not mounted read-only, the agent could write this entry.
        entry = Path(policy("pi-probe")["compileCache"]) / "v1-x64-abc/0123abcd"
        stack.enter_context(_file(entry, "compiled", 0o666))
        yield {
            "machine_key": str(machine_key),
            "scratch": str(scratch),
            "journal": str(_journal()),
            "compiled": str(entry),
        }


@contextmanager
def _servers() -> Iterator[Json]:
    """Servers on the machine, and on an address that stands for another host."""
    host, _, port = FACTS["model"].partition("//")[2].partition("/")[0].partition(":")
    with (
        listening(socket.AF_INET, ("127.0.0.1", 0)) as near,
        listening(socket.AF_INET6, ("::1", 0)) as near6,
        listening(socket.AF_INET, (OTHER_HOST, 0)) as far,
        listening(socket.AF_UNIX, "\0checks-of-the-host"),
    ):
        yield {"port": near, "port6": near6, "port_far": far, "model": host, "model_port": int(port)}


@contextmanager
def _victims() -> Iterator[Json]:
    """Processes, a service and shared memory outside."""
    with (
        _memory(),
        _service() as service,
        _running("bash", "-c", "sleep 1000; true", "checks-of-the-host") as sleeper,
        _running("sleep", "1000", user="alice") as own,
    ):
        yield {
            "sleeper": sleeper,
            "own": own,
            "shm": _SHARED_MEMORY,
            "service": service,
            "credential": f"/run/credentials/{service}/checks",
            "cgroup": str(_cgroup()),
        }


@contextmanager
def _other_session() -> Iterator[Json]:
    """A session of bob's, with a secret in its environment, and bob's state; and a second session of alice's."""
    state = Path(policy("pi-probe")["stateDir"])
    command = ("env", f"CHECKS={_SECRET}", "bash", "-c", "echo ready; cat >/dev/null")
    with (
        session("bob", "pi-probe", "exec", *command) as going,
        session("alice", "pi-probe", "exec", *command),
    ):
        [staging] = [path for path in staged() if path.name == going.unit.removesuffix(".service")]
        kept = state / "users/bob/kept"
        kept.write_text("bob's")
        yield {
            "other": _cat(agent("pi-probe", "bob").pw_uid),
            "second": _cat(agent("pi-probe").pw_uid),
            "staging": str(staging),
            "bobs_state": str(kept),
            "state_directory": str(state),
            "base_state": f"{policy('pi')['stateDir']}/users/alice/.pi/agent/settings.json",
            "memory": str(memory("bob", "pi-probe") / "memory.json"),
        }


def _places(project: Path, key: Path) -> Json:
    """The identities and paths of alice, her agent and the installed programs."""
    alice = pwd.getpwnam("alice")
    return {
        "uid": alice.pw_uid,
        "groups": os.getgrouplist("alice", alice.pw_gid),
        "agent": agent("pi-probe").pw_uid,
        "home": str(home("alice")),
        "project": str(project),
        "key": str(key),
        "handle": _handle(key),
        "policy": FACTS["variants"]["pi-probe"]["policy"],
        "runner": FACTS["variants"]["pi-probe"]["runner"],
        "wrapper": shutil.which("pi-probe", path="/run/current-system/sw/bin:/usr/bin"),
        "program": os.path.realpath(shutil.which("sh") or ""),
        "become": str(project / "become"),
        "node": str(project / "node"),
        "archive": str(_archive(project)),
    }


@contextmanager
def standing() -> Iterator[Json]:
    """All targets of attempts, as facts."""
    project, key = demo("alice"), home("alice") / ".ssh/id_ed25519"
    _people(project, key)
    with _files() as files, _servers() as servers, _victims() as victims, _other_session() as other:
        yield {**_places(project, key), **files, **servers, **victims, **other}
