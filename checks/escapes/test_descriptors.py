"""Attempts with descriptors of the host's, which somebody outside sends in over a socket in the project (unix(7)).

What is sent is open already, and can be used as it is. Nothing can be opened beneath it, or opened again through it.
The session may be of a user who conspires with the agent, so root sends what nobody else could.
"""

from __future__ import annotations

import os
import pwd
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest
from support.commands import CLEAN, inside, on_machine
from support.installed import agent, demo, policy
from support.processes import processes
from support.terminals import ended, terminal

from escapes.case import attempt

# Opens the second argument as the third says (a sum of flags), and sends it to whoever connects to the first.
_SEND: Final = """
import os, socket, sys
path, target, flags = sys.argv[1:]
held = os.open(target, int(flags) | os.O_NONBLOCK | os.O_NOCTTY)
with socket.socket(socket.AF_UNIX) as server:
    server.bind(path)
    os.chmod(path, 0o777)
    server.listen()
    print("ready", flush=True)
    client = server.accept()[0]
    socket.send_fds(client, [b"x"], [held])
    client.recv(1)
"""
# Takes the descriptor as HELD, does what the second argument says, and prints `works` or the name of the error.
_TAKE: Final = """
import errno, os, socket, sys
client = socket.socket(socket.AF_UNIX)
client.connect(sys.argv[1])
held = socket.recv_fds(client, 1, 1)[1][0]
def again(flags): return os.open(f"/proc/self/fd/{held}", flags | os.O_NONBLOCK | os.O_NOCTTY)
try:
    exec(sys.argv[2])
    print("works")
except OSError as error:
    print(errno.errorcode[error.errno])
"""
_SOCKET: Final = "door"
_PLANTED: Final = Path("/var/tmp/checks-planted")
# A session without Landlock, because its administrator loosened what Landlock forbids.
_LOOSE: Final = "pi-open"


@contextmanager
def sent(target: Path | str, flags: int = os.O_RDONLY) -> Iterator[Path]:
    """A socket in alice's project that hands out a descriptor of target, once."""
    place = demo("alice") / _SOCKET
    place.unlink(missing_ok=True)
    words = ["python3", "-c", _SEND, str(place), str(target), str(flags)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, env=CLEAN, cwd="/") as server:
        assert server.stdout is not None and server.stdout.readline() == b"ready\n"
        try:
            yield place
        finally:
            server.kill()
            place.unlink()


def taken(target: Path | str, action: str, flags: int = os.O_RDONLY, command: str = "pi-probe") -> str:
    """What comes of an action with a descriptor of target, inside."""
    with sent(target, flags) as place:
        return inside('python3 -c "$@"', _TAKE, place, action, command=command).ok().text


def taken_outside(target: Path | str, action: str, flags: int, uid: int) -> str:
    """What comes of it outside, as somebody who may."""
    identity = pwd.getpwuid(uid)
    words = ("setpriv", f"--reuid={uid}", f"--regid={identity.pw_gid}", "--clear-groups", "python3", "-c", _TAKE)
    with sent(target, flags) as place:
        # The way to the project is closed to others.
        return on_machine("env", f"--chdir={place.parent}", *words, place.name, action).ok().text


@pytest.fixture
def file(tmp_path: Path) -> Iterator[Path]:
    """A file that everybody may read and write, where everybody may make others."""
    path = Path("/srv/checks-descriptors/file")
    path.parent.mkdir()
    path.parent.chmod(0o777)
    path.write_text("the host's")
    path.chmod(0o666)
    yield path
    path.unlink()
    path.parent.rmdir()


_BENEATH_ROOT: Final = {
    "read": "os.open('srv/checks-descriptors/file', os.O_RDONLY, dir_fd=held)",
    "list": "os.listdir(os.open('srv', os.O_RDONLY, dir_fd=held))",
    "make": f"os.open('{_PLANTED}'[1:], os.O_CREAT | os.O_EXCL | os.O_WRONLY, dir_fd=held)",
    "link": f"os.symlink('x', '{_PLANTED}'[1:], dir_fd=held)",
    "enter": "os.fchdir(held); os.open('srv/checks-descriptors/file', os.O_RDONLY)",
    "run": "os.execve(os.open('usr/bin/true', os.O_PATH, dir_fd=held), ['true'], {})",
}


@pytest.mark.parametrize("way", _BENEATH_ROOT)
@pytest.mark.parametrize("flags", [os.O_RDONLY, os.O_PATH])
@attempt("places", "open what lies beneath a descriptor of the host's root directory that was sent in")
def test_nothing_opens_beneath_the_hosts_root_directory(way: str, flags: int, file: Path, known_module: None) -> None:
    assert taken("/", _BENEATH_ROOT[way], flags) == "EACCES"
    assert not os.path.lexists(_PLANTED)
    if way == "run":  # what runs there instead says nothing
        return
    try:
        assert taken("/", _BENEATH_ROOT[way], flags, _LOOSE) == "works", "the control"
    finally:
        _PLANTED.unlink(missing_ok=True)


_ON_FILES: Final = {
    "read": ("again(os.O_RDONLY)", os.O_PATH),
    "write": ("again(os.O_WRONLY)", os.O_RDONLY),
    "truncate": ("os.truncate(f'/proc/self/fd/{held}', 0)", os.O_RDONLY),
}


@pytest.mark.parametrize("way", _ON_FILES)
@attempt("places", "open a file of the host's again by a descriptor of it")
def test_no_file_can_be_opened_again_for_more(way: str, file: Path, known_module: None) -> None:
    action, flags = _ON_FILES[way]
    assert taken(file, action, flags) == "EACCES"
    assert file.read_text() == "the host's"
    assert taken(file, action, flags, _LOOSE) == "works", "the control"


@attempt("places", "make a file in a directory of the host's by a descriptor of it, or take one from there")
def test_nothing_is_made_in_or_taken_from_a_directory(file: Path, known_module: None) -> None:
    make = "os.close(os.open('made', os.O_CREAT | os.O_WRONLY, dir_fd=held))"
    take = "os.link('file', 'taken', src_dir_fd=held)"
    remove = "os.unlink('file', dir_fd=held)"
    for action, denied in ((make, "EACCES"), (take, "EXDEV"), (remove, "EACCES")):
        assert taken(file.parent, action) == denied, action
    assert os.listdir(file.parent) == ["file"]
    assert taken(file.parent, f"{make}; os.unlink('made', dir_fd=held)", command=_LOOSE) == "works", "the control"


@attempt("state", "open another user's agent's state beneath a descriptor")
def test_the_state_of_another_user_stays_closed(known_module: None) -> None:
    inside("touch ~/kept", user="bob").ok()
    kept = Path(policy("pi-probe")["stateDir"]) / "users/bob/kept"
    actions = (
        (kept.parent, "os.open('kept', os.O_RDWR, dir_fd=held)", os.O_RDONLY),
        (Path("/"), f"os.open('{kept}'[1:], os.O_RDWR, dir_fd=held)", os.O_PATH),
        (kept, "again(os.O_RDWR)", os.O_PATH),
    )
    for target, action, flags in actions:
        assert taken(target, action, flags) == "EACCES", action
        assert taken_outside(target, action, flags, kept.stat().st_uid) == "works", "the control"


def _terminal_of(uid: int) -> str:
    """The terminal that a process of this user's has as its standard input."""
    inputs = {os.readlink(f"/proc/{one.pid}/fd/0") for one in processes() if one.uid == uid}
    [path] = {each for each in inputs if each.startswith("/dev/pts/")}
    return path


@attempt("terminal", "open another user's terminal by a descriptor of it")
def test_the_terminal_of_another_session_stays_closed(known_module: None) -> None:
    screen = terminal("bob", "pi-probe", "exec", "bash", "-c", "echo here; read -r")
    screen.expect_exact(b"here")
    path = _terminal_of(agent("pi-probe", "bob").pw_uid)
    for flags in (os.O_PATH, os.O_RDONLY):
        assert taken(path, "again(os.O_RDWR)", flags) == "EACCES"
    assert taken_outside(path, "again(os.O_RDWR)", os.O_PATH, os.stat(path).st_uid) == "works", "the control"
    screen.sendline(b"")
    assert ended(screen) == 0


@contextmanager
def _manager(user: str) -> Iterator[str]:
    """What systemd-logind does for a user who asks to linger. Yields the path of the service manager's socket."""
    uid = pwd.getpwnam(user).pw_uid
    units = (f"user@{uid}.service", f"user-runtime-dir@{uid}.service")
    on_machine("systemctl", "start", units[0])
    try:
        yield f"/run/user/{uid}/systemd/private"
    finally:
        on_machine("systemctl", "stop", *units).ok()
        on_machine("systemctl", "reset-failed")


@attempt("processes", "have a program started outside by a service manager of the agent's, reached by a descriptor")
def test_no_service_manager_of_the_agents_can_be_reached(known_module: None) -> None:
    """Landlock judges no connect(2), so that there must be none."""
    name = agent("pi-probe").pw_name
    connect = "socket.socket(socket.AF_UNIX).connect(f'/proc/self/fd/{held}PATH')"
    with _manager(name) as path:
        assert taken("/", connect.replace("PATH", path), os.O_PATH) == "ENOENT"
    on_machine("usermod", "--expiredate", "", name).ok()
    try:
        with _manager(name) as path:
            assert taken("/", connect.replace("PATH", path), os.O_PATH) == "works", "the control"
    finally:
        on_machine("usermod", "--expiredate", "2000-01-01", name).ok()


def test_what_is_sent_open_can_be_used_as_it_is(file: Path, known_module: None) -> None:
    assert taken(file, 'assert os.read(held, 99) == b"the host\'s"') == "works"
    assert taken(file, "os.ftruncate(held, 0)", os.O_RDWR) == "works"


def test_descriptors_of_its_own_view_open_what_is_beneath(known_module: None) -> None:
    """Between two programs in one session."""
    script = 'python3 -c "$1" "$PWD/own" "$PWD" 0 | { read -r; python3 -c "$2" "$PWD/own" "$3"; }; rm own; test -e made'
    action = "os.close(os.open('made', os.O_CREAT | os.O_WRONLY, dir_fd=held))"
    assert inside(script, _SEND, _TAKE, action).ok().text == "works"
