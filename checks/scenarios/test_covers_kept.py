"""What is protected or hidden stays so while its owner replaces, moves and removes it on the host."""

from __future__ import annotations

import ast
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest
from support.commands import Result, on_machine
from support.installed import demo
from support.repositories import on_host
from support.sessions import Session, session
from support.waiting import until

# Runs what it reads, a line of Python at a time, and answers with a line: the value, or the error's name.
_AGENT: Final = """
import errno, fcntl, mmap, os, socket, sys
print("ready", flush=True)
for line in sys.stdin:
    try:
        try:
            answer = eval(line)
        except SyntaxError:
            answer = exec(line)
    except OSError as error:
        answer = errno.errorcode[error.errno]
    print(repr(answer), flush=True)
"""


class Agent:
    """A program inside that does what it is told."""

    def __init__(self, running: Session) -> None:
        self.session = running

    def does(self, line: str) -> object:
        """The value of the expression inside, or the name of the error. None for a statement."""
        self.session.say(line.encode())
        heard = self.session.hear()
        assert heard, self.session.wait().complaint
        return ast.literal_eval(heard.decode())

    def ended(self) -> Result:
        """What came of the session, once it has been ended."""
        until(lambda: self.session.client.poll() is not None, "the session was ended")
        return self.session.wait()

    def writes(self, path: str) -> object:
        """What comes of writing to the path."""
        return self.does(f"os.close(os.open({path!r}, os.O_WRONLY | os.O_APPEND)) or 'written'")

    def reads(self, path: str) -> object:
        """The content of the file."""
        return self.does(f"open({path!r}).read()")


@contextmanager
def agent(command: str = "pi-probe", cwd: Path | None = None) -> Iterator[Agent]:
    """A session with such a program."""
    with session("alice", command, "exec", "python3", "-c", _AGENT, cwd=cwd) as running:
        yield Agent(running)


def runner() -> int:
    """The process that waits for the session."""
    [client] = on_machine("pgrep", "-x", "systemd-run").ok().text.split()
    return parent(int(client))


@contextmanager
def blind() -> Iterator[None]:
    """While entered, the runner sees nothing. sudo and login shells stop with it."""
    until(is_shell, "the runner waits as a shell")
    process = runner()
    os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        while process > 1:
            os.kill(process, signal.SIGCONT)
            process = parent(process)


def parent(process: int) -> int:
    return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])


def is_shell() -> bool:
    """Whether the runner waits as a shell."""
    return Path(f"/proc/{runner()}/comm").read_text().startswith("bash")


def kept(unit: str) -> list[str]:
    """The paths that the journal says were replaced."""
    on_machine("journalctl", "--sync").ok()
    words = ("--output=cat", "--output-fields=PI_AGENT_PATH", "PI_AGENT_EVENT=uncovered", f"PI_AGENT_UNIT={unit}")
    return on_machine("journalctl", *words).text.splitlines()


ENTRIES: Final = (".envrc", ".git/config", ".git/hooks/pre-commit", ".vscode/tasks.json")


@pytest.fixture(autouse=True)
def project() -> Path:
    """A repository with something of each kind."""
    on_host(
        "git init -q; mkdir -p .vscode sub; echo '{}' >.vscode/tasks.json; echo mine >.envrc; echo key >.netrc;"
        "echo 'exit 0' >.git/hooks/pre-commit"
    )
    return demo("alice")


REPLACED: Final = {
    "git config": ("git config checks.mine 1", ".git/config"),
    "git remote": ("git remote add other ..", ".git/config"),
    "mv": ("echo new >.envrc.new; mv .envrc.new .envrc", ".envrc"),
    "rm and make": ("rm .envrc; echo new >.envrc", ".envrc"),
    "away and new": ("mv .envrc old; echo new >.envrc", ".envrc"),
    "directory": ("mv .vscode old; mkdir .vscode; echo x >.vscode/tasks.json", ".vscode/tasks.json"),
    "directory removed": ("rm -r .vscode; mkdir .vscode; echo x >.vscode/tasks.json", ".vscode/tasks.json"),
    "git directory": ("mv .git old; git init -q", ".git/config"),
    "hooks": ("rm -r .git/hooks; mkdir .git/hooks; echo x >.git/hooks/pre-commit", ".git/hooks/pre-commit"),
    "link": ("rm .envrc; echo x >real; ln -s real .envrc", "real"),
    "from another kind": ("mv .git/config .git/c; cp .git/c .git/d; mv .git/d .git/config", ".git/config"),
}


@pytest.mark.parametrize("name", REPLACED)
def test_what_its_owner_replaces_is_protected_again(name: str) -> None:
    script, path = REPLACED[name]
    with agent() as inside:
        until(is_shell, "the runner waits as a shell")
        for _ in range(2):
            on_host(script)
            until(lambda: inside.writes(path) == "EROFS", f"{path} is protected again", 2)
            script = script.replace("old", "older").replace("add other", "add another")
            assert inside.writes("sub/mine") == "ENOENT"


@pytest.mark.parametrize("name", REPLACED)
def test_without_a_watch_the_agent_could_write_to_it(name: str) -> None:
    """The control."""
    script, path = REPLACED[name]
    with agent() as inside:
        with blind():
            on_host(script)
            assert inside.writes(path) == "written"


# What the agent has of a file before it comes to a protected place → what it does with it then.
HELD: Final = {
    "open to write": ("held = os.open('new', os.O_RDWR)", "os.write(held, b'x')"),
    "open to read": ("held = os.open('new', os.O_RDONLY)", "os.open(f'/proc/self/fd/{held}', os.O_RDWR)"),
    "looked at": ("held = os.open('new', os.O_PATH)", "os.open(f'/proc/self/fd/{held}', os.O_RDWR)"),
    "mapped": (
        "file = open('new', 'r+b'); held = mmap.mmap(file.fileno(), 0, trackfd=False); file.close()",
        "held.__setitem__(0, 33)",
    ),
    "linked": ("os.link('new', 'sub/other')", "open('sub/other', 'r+').close()"),
    "sent to write": (
        "a, b = socket.socketpair(); socket.send_fds(a, [b'x'], [os.open('new', os.O_RDWR)]); os.closerange(5, 99)",
        "os.write(socket.recv_fds(b, 1, 1)[1][0], b'x')",
    ),
    "sent to read": (
        "a, b = socket.socketpair(); f = os.open('new', 0); socket.send_fds(a, [b'x'], [f]); os.close(f)",
        "os.open(f'/proc/self/fd/{socket.recv_fds(b, 1, 1)[1][0]}', os.O_RDWR)",
    ),
}


@pytest.mark.parametrize("name", HELD)
def test_a_session_that_keeps_its_way_to_what_was_replaced_is_ended(name: str) -> None:
    keep, _ = HELD[name]
    on_host("echo content >new")
    with agent() as inside:
        assert inside.does(keep) is None
        until(is_shell, "the runner waits as a shell")
        on_host("mv new .envrc")
        result = inside.ended()
        assert result.status == 69, (name, result)
        assert ".envrc could not be protected again" in result.complaint
    assert Path(demo("alice"), ".envrc").read_text() == "content\n"


@pytest.mark.parametrize("name", HELD)
def test_without_a_watch_it_could_use_it(name: str) -> None:
    """The control."""
    keep, use = HELD[name]
    on_host("echo content >new")
    with agent() as inside:
        assert inside.does(keep) is None
        with blind():
            on_host("mv new .envrc")
            assert inside.does(use) not in ("EROFS", "EACCES", "EPERM", "ENOENT")
        assert inside.ended().status == 69
