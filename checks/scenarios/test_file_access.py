"""What Landlock leaves to a session: its own files, and its standard streams by name. checks/escapes has denials."""

from __future__ import annotations

from typing import Final

from support.commands import Result, as_user, inside
from support.installed import demo
from support.terminals import ended, terminal, written


def shell(script: str) -> Result:
    """Run a script as alice, outside."""
    return as_user("alice", "bash", "-c", script)


def test_the_streams_that_a_session_is_given_can_be_opened_by_name() -> None:
    files = "printf in >in; : >out; : >errors; chmod 0666 in out errors; "
    again = "cat /dev/stdin; echo out >>/dev/stdout; echo errors >/dev/stderr; cat /proc/self/fd/0"
    shell(f"{files}pi-probe exec bash -c '{again}' <in >>out 2>errors").ok()
    assert (demo("alice") / "out").read_text() == "inout\nin"
    assert (demo("alice") / "errors").read_text() == "errors\n"
    assert shell("printf in | pi-probe exec cat - | cat").ok().text == "in"
    assert shell("pi-probe exec bash -c 'cat /dev/stdin; : >/dev/stdout' </dev/null >/dev/null").status == 0
    assert shell("pi-probe exec cat - <<<here").ok().text == "here"
    assert shell("pi-probe exec cat - < <(printf in)").ok().text == "in"


def test_a_stream_is_opened_again_for_what_it_is_open_for_and_no_more() -> None:
    shell("printf in >in; chmod 0666 in; pi-probe exec bash -c 'echo more >>/proc/self/fd/0' <in; exit 0").ok()
    assert (demo("alice") / "in").read_text() == "in"


def test_at_a_terminal_it_can_be_opened_by_each_of_its_names() -> None:
    script = "for name in stdin stdout stderr tty; do echo $name >/dev/$name; done; test -t 3 3</dev/stdin && echo yes"
    screen = terminal("alice", "pi-probe", "exec", "bash", "-c", script)
    assert ended(screen) == 0
    assert written(screen).split() == [b"stdin", b"stdout", b"stderr", b"tty", b"yes"]


_MEMORY: Final = (
    "import os; f = os.memfd_create('m'); open(f'/proc/self/fd/{f}', 'w').write('memory');"
    " print(open(f'/proc/self/fd/{f}').read())"
)


def test_files_move_between_directories_and_open_as_before() -> None:
    script = (
        "mkdir -p a b; echo text >a/file; mv a/file b/; ln b/file a/link; cat b/file a/link;"
        ' cat <<<here; cat <(echo through); cat 3<a/link <&3; python3 -c "$1";'
        " : >a/link; test ! -s b/file; mv b ~/; mv ~/b a/; mkfifo a/b/pipe; ln -s pipe a/b/name; rm -r a"
    )
    lines = inside(f"set -eu; {script}", _MEMORY).ok().text.split()
    assert lines == ["text", "text", "here", "through", "text", "memory"]
    assert not (demo("alice") / "a").exists()


_QUEUE: Final = """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
for flags in (0o102, 2):
    assert libc.mq_open(b"/queue", flags, 0o600, ctypes.byref((ctypes.c_long * 8)(0, 4, 1024))) > 0, ctypes.get_errno()
print(os.listdir("/dev/mqueue"), libc.mq_unlink(b"/queue"))
"""


def test_message_queues_work() -> None:
    assert inside('python3 -c "$1"', _QUEUE).ok().text == "['queue'] 0"
