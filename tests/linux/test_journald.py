from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pi_agent.linux import journald
from tests.support.checkout import TOP
from tests.support.journal import Journal, fields
from tests.support.limits import open_descriptors


def test_an_entry_byte_by_byte(journal: Journal) -> None:
    journald.send({"MESSAGE": "a b", "PI_AGENT_HOST_USER": "é\n", "PI_AGENT_UNIT": ""})
    assert journal.content() == (
        b"MESSAGE\n\x03\0\0\0\0\0\0\0a b\n"
        b"PI_AGENT_HOST_USER\n\x03\0\0\0\0\0\0\0\xc3\xa9\n\n"
        b"PI_AGENT_UNIT\n\0\0\0\0\0\0\0\0\n"
    )


@given(st.binary(max_size=40), st.binary(max_size=40))
def test_no_value_forges_a_field(root: bytes, why: bytes) -> None:
    evil = b"x\nPI_AGENT_HOST_USER=root\nMESSAGE\n\x01\0\0\0\0\0\0\0x\n"
    sent = {
        "MESSAGE": os.fsdecode(why + evil), "PI_AGENT_HOST_USER": "alice",
        "PI_AGENT_PROJECT_ROOT": os.fsdecode(evil + root), "PI_AGENT_UNIT": "u\n",
    }  # fmt: skip
    content = b"".join(journald._field(name, value) for name, value in sent.items())
    assert fields(content) == list(sent.items())


@pytest.mark.parametrize("kind", ["missing", "nobody listens", "no socket", "too large"])
def test_a_journal_that_cannot_be_reached_is_none_of_the_users_business(
    journal: Journal, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], kind: str
) -> None:
    if kind == "nobody listens":
        journal.socket.close()
    elif kind != "too large":
        monkeypatch.setattr(journald, "SOCKET", "/nonexistent/socket" if kind == "missing" else "/dev/null")
    before = open_descriptors()
    journald.send({"MESSAGE": "x" * (1 << 24 if kind == "too large" else 1)})
    assert open_descriptors() == before
    assert capfd.readouterr() == ("", "")


def test_whoever_sends_an_entry_has_no_arguments_to_show() -> None:
    """journald records the command line of the sender."""
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
    """journald may be stopped, or hang, while systemd holds its socket. The queue is then soon full."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as other:
        with pytest.raises(BlockingIOError):
            while True:
                other.sendto(b"x", journald.SOCKET)
    within(1, lambda: journald.send({"MESSAGE": "x"}))


def within(seconds: float, act: Callable[[], None]) -> None:
    """Run it. Fails if it takes longer."""
    signal.signal(signal.SIGALRM, lambda number, frame: pytest.fail("it hangs"))
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        act()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
