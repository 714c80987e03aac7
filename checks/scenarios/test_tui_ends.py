"""The terminal after every kind of end of the command on it, and Pi after its terminal or wrapper has gone."""

from __future__ import annotations

import json
import os
import pwd
import re
import signal
from collections.abc import Callable
from typing import Final

import pytest
from support import tmux
from support.commands import as_user
from support.installed import agent, isolated
from support.leftovers import assert_clean
from support.pi_screen import UNWRAPPED, UP, started
from support.processes import Process, ours, processes
from support.tmux import AT_PROMPT, SANE, Screen
from support.units import settle, units
from support.waiting import PATIENCE, until

ALL_MODES: Final = (
    r"printf '\033[?1049h\033[?25l\033[?1000h\033[?1003h\033[?1006h\033[?1h\033=\033[?7l';"
    r"printf '\033[?2004h\033[?1004h\033[>7u\033[>4;2m'; stty raw -echo; echo up; exec sleep 4321"
)


def inside_by(word: str) -> list[int]:
    return [process.pid for process in processes() if word in process.words and process.uid == agent().pw_uid]


ENDS: Final[dict[str, tuple[Callable[[], list[int]], signal.Signals, str]]] = {
    "Pi is terminated": (lambda: inside_by("4321"), signal.SIGTERM, "143"),
    "Pi is killed": (lambda: inside_by("4321"), signal.SIGKILL, "137"),
    "systemd-run is killed": (lambda: [ours()["systemd-run"][0].pid], signal.SIGKILL, "129"),
    "the wrapper is terminated": (lambda: [front().pid], signal.SIGTERM, "143"),
    "the wrapper is hung up": (lambda: [front().pid], signal.SIGHUP, "129"),
    "the runner is killed": (lambda: [ours()["runner"][0].pid], signal.SIGKILL, "137"),
}


def front() -> Process:
    """The sudo process that the wrapper became: the caller's shell started it."""
    sudos = ours()["sudo"]
    return min(sudos, key=lambda process: process.pid)


def assert_sane(screen: Screen, status: str) -> None:
    # No key before sudo has ended: with a key still to pass on, sudo (1.9.16) goes on reading keys and writing them to
    # the terminal that it made, where nobody is, whatever it ran.
    assert_clean(PATIENCE)

    def sane() -> bool:
        screen.enter("stty -a | grep -ow -e '-\\?echo' -e '-\\?icanon' -e '-\\?isig' -e '-\\?opost' | sort | xargs")
        return re.search("^echo icanon isig opost$", screen.text(), re.MULTILINE) is not None

    until(sane, "the shell has its terminal back")
    assert screen.modes() == SANE
    screen.enter("clear; echo status=$ended")
    screen.shows(f"^status={status}$")


@pytest.mark.parametrize("kind", ENDS)
def test_the_terminal_is_sane_after_every_kind_of_end(kind: str) -> None:
    victims, number, status = ENDS[kind]
    with tmux.shell() as screen:
        as_user("alice", "sh", "-c", "cat >../modes", stdin=ALL_MODES.encode()).ok()
        screen.enter('pi-probe exec bash -c "$(cat ../modes)"; ended=$?')
        screen.shows("^ *up")
        assert screen.modes() != SANE
        pids = until(victims, "somebody to signal")
        settle(units("alice")[0])
        for pid in pids:
            os.kill(pid, number)
        assert_sane(screen, status)


def test_the_terminal_is_sane_after_the_end_of_the_real_pi() -> None:
    for number, status in ((signal.SIGTERM, "0"), (signal.SIGKILL, "137")):
        for command, user in ((UNWRAPPED, "alice"), ("pi", agent().pw_name))[number == signal.SIGKILL :]:
            with tmux.shell() as screen:
                screen.enter(f"clear; {command}; ended=$?")
                screen.shows(UP)
                assert screen.modes()["cursor_flag"] == "0"
                uid = pwd.getpwnam(user).pw_uid
                [pi] = [process for process in processes() if process.uid == uid and process.words[0] == "pi"]
                pi.kill(number)
                assert_sane(screen, status)


LEAVES: Final[dict[str, Callable[[Screen], None]]] = {
    "the terminal is closed": lambda screen: screen.close(),
    "the wrapper is terminated": lambda _: os.kill(front().pid, signal.SIGTERM),
    "the wrapper is hung up": lambda _: os.kill(front().pid, signal.SIGHUP),
}


@pytest.mark.parametrize("kind", LEAVES)
def test_pi_may_save_and_is_gone_in_time(kind: str) -> None:
    with tmux.shell() as screen:
        started(screen)
        screen.enter("a word to keep")
        screen.shows("echo: a word to keep")
        LEAVES[kind](screen)
        assert_clean()
    [transcript] = isolated("alice", "sessions").rglob("*.jsonl")
    lines = [json.loads(line) for line in transcript.read_text().splitlines()]
    said = json.dumps(lines)
    assert '"a word to keep"' in said and '"echo: a word to keep"' in said
    assert not list(isolated("alice", "").glob("*.lock"))


def test_control_z_stops_nothing_for_ever_where_streams_are_a_pipe() -> None:
    with tmux.shell() as screen:
        screen.enter("pi-probe exec bash -c 'echo up; until test -e later; do sleep 0.05; done; echo over' | cat")
        screen.shows("^up$")
        screen.press("C-z")
        as_user("alice", "touch", "later").ok()

        def over() -> bool:
            if re.search(AT_PROMPT, screen.text(), re.MULTILINE):
                screen.enter("fg")  # it was suspended, like any other program
            return re.search("^over$", screen.text(), re.MULTILINE) is not None

        until(over, "the session ended")
        screen.shows(AT_PROMPT)
