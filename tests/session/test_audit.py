from __future__ import annotations

import os
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pi_agent.linux import journald
from pi_agent.session import audit
from tests.support.checkout import TOP

_FACTS = {"POLICY": "/p.json", "HOST_USER": "alice", "PROJECT_ROOT": "/home/alice/p"}


class Journal:
    """A journald that keeps what it is sent."""

    def __init__(self, path: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self.socket.bind(path)

    def content(self) -> bytes:
        """The next entry as it came."""
        return self.socket.recv(1 << 20)

    def entries(self) -> list[list[tuple[str, str]]]:
        """All that came since, as journald reads it."""
        found = []
        while True:
            try:
                found.append(fields(self.content()))
            except BlockingIOError:
                return found


def fields(content: bytes) -> list[tuple[str, str]]:
    """The fields of an entry (JOURNAL_NATIVE_PROTOCOL): NAME=value, or NAME, a length of 8 bytes and the value."""
    found = []
    while content:
        line, _, content = content.partition(b"\n")
        name, equals, value = line.partition(b"=")
        if not equals:
            (length,) = struct.unpack("<Q", content[:8])
            value, content = content[8 : 8 + length], content[8 + length :]
            assert content[:1] == b"\n"
            content = content[1:]
        found.append((name.decode(), value.decode("utf-8", "surrogateescape")))
    return found


@pytest.fixture
def journal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Journal]:
    with TemporaryDirectory(dir="/tmp") as top:  # the path of a socket is short
        monkeypatch.setattr(journald, "SOCKET", f"{top}/socket")
        found = Journal(f"{top}/socket")
        yield found
        found.socket.close()


def test_an_entry_byte_by_byte(journal: Journal) -> None:
    audit.started({"POLICY": "/p", "HOST_USER": "é\n", "UNIT": "u.service"})
    assert journal.content() == (
        b"MESSAGE\n\x18\0\0\0\0\0\0\0session u.service starts\n"
        b"PRIORITY\n\x01\0\0\0\0\0\0\x006\n"
        b"PI_AGENT_EVENT\n\x05\0\0\0\0\0\0\0start\n"
        b"PI_AGENT_POLICY\n\x02\0\0\0\0\0\0\0/p\n"
        b"PI_AGENT_HOST_USER\n\x03\0\0\0\0\0\0\0\xc3\xa9\n\n"
        b"PI_AGENT_UNIT\n\x09\0\0\0\0\0\0\0u.service\n"
        b"SYSLOG_IDENTIFIER\n\x08\0\0\0\0\0\0\0pi-agent\n"
    )


def test_how_a_session_ended_and_who_was_refused(journal: Journal) -> None:
    audit.ended({**_FACTS, "UNIT": "u.service"}, "137")
    audit.refused(_FACTS, 77, "no such root")
    known = [
        ("PI_AGENT_POLICY", "/p.json"),
        ("PI_AGENT_HOST_USER", "alice"),
        ("PI_AGENT_PROJECT_ROOT", "/home/alice/p"),
    ]
    assert journal.entries() == [
        [
            ("MESSAGE", "session u.service ended: 137"), ("PRIORITY", "6"), ("PI_AGENT_EVENT", "end"),
            ("PI_AGENT_OUTCOME", "137"), *known, ("PI_AGENT_UNIT", "u.service"), ("SYSLOG_IDENTIFIER", "pi-agent"),
        ],
        [
            ("MESSAGE", "refused: no such root"), ("PRIORITY", "5"), ("PI_AGENT_EVENT", "refused"),
            ("PI_AGENT_OUTCOME", "77"), *known, ("SYSLOG_IDENTIFIER", "pi-agent"),
        ],
    ]  # fmt: skip


@given(st.binary(max_size=40), st.binary(max_size=40))
def test_no_value_forges_a_field(root: bytes, why: bytes) -> None:
    evil = b"x\nPI_AGENT_HOST_USER=root\nMESSAGE\n\x01\0\0\0\0\0\0\0x\n"
    facts = {"PROJECT_ROOT": os.fsdecode(evil + root), "HOST_USER": "alice"}
    sent = {"MESSAGE": os.fsdecode(why + evil), **audit.fields({**facts, "UNIT": "u\n"})}
    content = b"".join(journald._field(name, value) for name, value in sent.items())
    assert fields(content) == list(sent.items())


def _all(facts: dict[str, str]) -> None:
    audit.started({**facts, "UNIT": "u"})
    audit.ended({**facts, "UNIT": "u"}, "0")
    audit.refused(facts, 77, "why")


@pytest.mark.parametrize("kind", ["missing", "nobody listens", "no socket", "too large"])
def test_a_journal_that_cannot_be_reached_is_none_of_the_users_business(
    journal: Journal, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], kind: str
) -> None:
    if kind == "nobody listens":
        journal.socket.close()
    elif kind != "too large":
        monkeypatch.setattr(journald, "SOCKET", "/nonexistent/socket" if kind == "missing" else "/dev/null")
    before = os.listdir("/proc/self/fd")
    _all({"PROJECT_ROOT": "x" * (1 << 24 if kind == "too large" else 1)})
    assert os.listdir("/proc/self/fd") == before
    assert capfd.readouterr() == ("", "")


def test_whoever_sends_an_entry_has_no_arguments_to_show() -> None:
    """journald notes the command line of the sender."""
    script = (
        "from pi_agent.linux import journald; import sys; journald.send({}); "
        "print(open('/proc/self/cmdline').read(), sys.argv)"
    )
    words = [sys.executable, "-c", script, "hunter2", "", "hunter3"]
    done = subprocess.run(words, check=True, capture_output=True, text=True, env={"PYTHONPATH": str(TOP)})
    shown, _, kept = done.stdout.partition(" [")
    assert script in shown and "hunter" not in shown
    assert "'hunter2', '', 'hunter3'" in kept


def test_a_journal_that_does_not_read_keeps_nobody_waiting(journal: Journal) -> None:
    """journald may be stopped, or hang, while systemd holds its socket: then the queue is soon full."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as other:
        with pytest.raises(BlockingIOError):
            while True:
                other.sendto(b"x", journald.SOCKET)
    within(1, lambda: audit.started({**_FACTS, "UNIT": "u"}))


def within(seconds: float, act: Callable[[], None]) -> None:
    """Do it, and fail if it takes longer."""
    signal.signal(signal.SIGALRM, lambda number, frame: pytest.fail("it hangs"))
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        act()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
