"""Attempts to outlive the session."""

from __future__ import annotations

import os
from typing import Final

import pytest
from support.commands import inside, on_machine
from support.installed import agent, demo
from support.leftovers import assert_clean
from support.processes import processes
from support.sessions import IDLE, session
from support.waiting import until

from escapes.case import attempt

MARK: Final = "checks-survivor"
_STAY: Final = f"exec -a {MARK} sleep 1000"
_QUIET: Final = "</dev/null >/dev/null 2>&1"
WAYS: Final = {
    "background": f"({_STAY}) {_QUIET} &",
    "nohup": f"nohup bash -c '{_STAY}' {_QUIET} &",
    "setsid": f"setsid bash -c '{_STAY}' {_QUIET} &",
    "double fork": f"(setsid bash -c '({_STAY}) & exit' {_QUIET} &)",
    "deaf": f"(trap '' TERM HUP INT; {_STAY}) {_QUIET} &",
    "at exit": f"trap \"setsid bash -c '{_STAY}' {_QUIET} &\" EXIT",
    "at the death of another": f"sleep 1000 & (trap '' TERM HUP; setsid bash -c 'while kill -0 $0; do sleep 0.05; done;"
    f" {_STAY}' $! {_QUIET} &)",
    "at a change of the project": "(trap '' TERM HUP; setsid bash -c 'until test -e later; do sleep 0.05; done;"
    f" {_STAY}' {_QUIET} &)",
    "forking on": f'again() {{ setsid bash -c "$1" again "$1" {_QUIET} & }}; '
    'again \'trap "" TERM HUP; sleep 0.05; setsid bash -c "$1" again "$1" & exit\'',
    "stopped": f"(trap '' TERM; kill -STOP $BASHPID; {_STAY}) {_QUIET} &",
}


def alive() -> list[int]:
    """The processes of the agent."""
    return [process.pid for process in processes() if process.uid == agent("pi-probe").pw_uid]


@pytest.mark.parametrize("way", WAYS)
@attempt("afterwards", "leave a process behind")
def test_nothing_runs_on(way: str) -> None:
    inside(f"{WAYS[way]}\nexit 0").ok()
    (demo("alice") / "later").touch()
    assert_clean()


def test_the_same_process_lives_on_outside() -> None:
    """Otherwise there would be nothing to end."""
    uid = agent("pi-probe").pw_uid
    on_machine("setpriv", f"--reuid={uid}", "--clear-groups", "bash", "-c", WAYS["double fork"]).ok()
    left = until(lambda: [process for process in processes() if process.words[0] == MARK], "it lives on")
    os.kill(left[0].pid, 9)
    until(lambda: not left[0].there(), "it is gone")


@attempt("afterwards", "leave a file in /tmp, /var/tmp, /dev/shm or a queue")
def test_no_file_of_the_machine_is_left() -> None:
    inside(
        "touch /tmp/checks-left /var/tmp/checks-left /dev/shm/checks-left /dev/mqueue/checks-left; ipcmk -Q -M 64"
    ).ok()
    assert on_machine("find", "/tmp", "/var/tmp", "/dev/shm", "/dev/mqueue", "-name", "checks-left").ok().text == ""
    assert "0x" not in inside("ls /tmp /dev/shm; ipcs --queues").ok().text


@attempt("processes", "kill whatever it can reach, and another session with it")
def test_a_signal_to_all_reaches_its_own_alone() -> None:
    with session("bob", "pi-probe", *IDLE) as other:
        before = set(alive())
        inside("kill -9 -1")
        assert before <= set(alive())
        assert other.client.poll() is None
