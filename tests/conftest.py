"""For every test: no example database on disk, and no umask, alarm or signal handler left over from another test."""

from __future__ import annotations

import os
import signal
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, settings

from pi_agent.linux import journald
from pi_agent.session import attendance
from tests.support import limits, people, trust
from tests.support.journal import Journal
from tests.support.trees import Nest

settings.register_profile(
    "suite",
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=50,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("suite")

_HANDLED = (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM)


def _directories() -> Iterator[int]:
    """The open descriptors that are directories."""
    for number in map(int, limits.open_descriptors()):
        with suppress(OSError):  # the descriptor that was used to list the others
            if stat.S_ISDIR(os.fstat(number).st_mode):
                yield number


@pytest.fixture(autouse=True)
def process_state() -> Iterator[None]:
    """Set the umask that runner.py sets, and restore the signal handlers (a session leaves some ignored).

    Directories that were left open are closed: a launch holds its project and state until its process ends.
    """
    umask = os.umask(0o022)
    handlers = {number: signal.getsignal(number) for number in _HANDLED}
    before = set(_directories())
    yield
    for number in {*_directories()} - before:
        os.close(number)
    signal.alarm(0)
    for number, handler in handlers.items():
        signal.signal(number, handler)
    os.umask(umask)


@pytest.fixture(autouse=True)
def stays_this_program(monkeypatch: pytest.MonkeyPatch) -> None:
    """Has no session of a test last long enough for the process to become another program."""
    monkeypatch.setattr(attendance, "_SOON", 3600.0)


@pytest.fixture
def ordinary() -> Iterator[Path]:
    """A directory of an ordinary user, as whom the test runs, so that permissions apply.

    It is not below pytest's own directory, which only the user who started the tests can enter.
    """
    with TemporaryDirectory(prefix="pi-agent-unit-", dir="/tmp") as name:
        people.give_to_nobody(Path(name))
        with people.being_nobody():
            yield Path(name)


@pytest.fixture
def nest() -> Iterator[Nest]:
    """Makes deep trees, which are removed after the test."""
    maker = Nest()
    yield maker
    maker.clear()


@pytest.fixture
def journal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Journal]:
    """A journald that receives all entries."""
    with TemporaryDirectory(dir="/tmp") as top:  # the path of a socket must be short
        monkeypatch.setattr(journald, "SOCKET", f"{top}/socket")
        found = Journal(f"{top}/socket")
        yield found
        found.socket.close()


@pytest.fixture(autouse=True)
def trusts_the_temporary_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Takes any directory for one that only root can change: pytest works below /tmp, where everybody makes files."""
    trust.trust_directories(monkeypatch)
