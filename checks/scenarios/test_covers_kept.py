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
from support.installed import demo, home
from support.repositories import on_host
from support.sessions import Session, session
from support.units import units
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


# -- hidden paths


@pytest.fixture
def secret() -> Iterator[Path]:
    """A hidden file, in a root that is the home itself."""
    place = home("alice")
    on_host("echo key >.netrc; mkdir -p .config; echo plain >notes", place)
    yield place
    on_host("rm -f .netrc notes", place)


@pytest.mark.parametrize(
    "script",
    [
        "echo new >.n; mv .n .netrc",
        "rm .netrc; echo new >.netrc",
        "mv .netrc old; echo new >.netrc; rm -f old",
        "rm .netrc; mv .bash_logout .netrc; echo new >.netrc",
    ],
)
def test_what_is_hidden_is_hidden_again_and_told(script: str, secret: Path) -> None:
    with agent("pi-home", secret) as inside:
        assert inside.reads(".netrc") == ""
        until(is_shell, "the runner waits as a shell")
        on_host(f"touch .bash_logout; {script}", secret)
        until(lambda: inside.reads(".netrc") == "", "the file is hidden again", 2)
        unit = inside.session.unit
        result = inside.session.wait().ok()
    assert f"{secret}/.netrc" in result.complaint.partition("for a moment the agent could read them:")[2]
    assert f"{secret}/.netrc" in kept(unit)


# -- ends


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_whatever_ends_the_runner_while_the_session_is_frozen_leaves_nothing(number: int) -> None:
    with agent() as inside:
        until(is_shell, "the runner waits as a shell")
        process = runner()
        on_host("for i in 1 2 3 4 5; do git config checks.mine $i; done")
        os.kill(process, number)
        assert inside.ended().status in (128 + number, 128 + signal.SIGKILL)
        until(lambda: not units("alice"), "nothing is left of the unit", 10)


def test_two_sessions_in_one_project_are_both_kept() -> None:
    with agent() as first, agent() as second:
        for number in range(3):
            on_host(f"git config checks.mine {number}; echo {number} >.new; mv .new .envrc")
            for inside in (first, second):
                for path in (".git/config", ".envrc"):
                    until(lambda inside=inside, path=path: inside.writes(path) == "EROFS", f"{path} is protected", 2)  # type: ignore[misc]


def test_a_repository_that_is_moved_away_and_cloned_again_is_protected() -> None:
    on_host("git init -q vendor/dep")
    with agent() as inside:
        until(is_shell, "the runner waits as a shell")
        on_host("mv vendor/dep vendor/old; git init -q vendor/dep")
        until(lambda: inside.writes("vendor/dep/.git/config") == "EROFS", "it is protected again", 2)
        assert inside.writes("vendor/old/.git/config") == "EROFS"


def test_an_empty_directory_that_the_agent_is_in_is_protected_when_it_is_made_again() -> None:
    on_host("rm -r .vscode; mkdir .vscode")
    with agent() as inside:
        inside.does("held = os.open('.vscode', os.O_RDONLY)")
        until(is_shell, "the runner waits as a shell")
        on_host("rmdir .vscode")
        on_host("mkdir .vscode; echo x >.vscode/tasks.json")
        until(lambda: inside.writes(".vscode/tasks.json") == "EROFS", "it is protected again", 2)


def test_work_on_the_host_goes_on_and_so_does_the_session() -> None:
    on_host("for i in 1 2 3 4 5 6; do echo $i >f; git add f; git commit -qm $i; done")
    with agent() as inside:
        on_host(
            "set -e; git remote add o ..; git remote remove o; git rebase -q --force-rebase HEAD~5; git branch x;"
            "git branch -d x; git config a.b c; rm -r .vscode; mkdir .vscode; git stash -q -u;"
            "git stash pop -q; git gc -q"
        )
        assert inside.does("1 + 1") == 2
        until(lambda: inside.writes(".git/config") == "EROFS", "it is protected", 2)
