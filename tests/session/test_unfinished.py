"""What the runner keeps in a file while Pi runs, and reads back."""

from __future__ import annotations

import os
import pty
import termios
from pathlib import Path

import pytest

from pi_agent.linux.terminals import RESET, Terminal
from pi_agent.policy.project_roots import Project
from pi_agent.sandbox.protection import Means
from pi_agent.session import unfinished
from pi_agent.session.audit import Known
from pi_agent.session.guard import Guard
from pi_agent.session.renewal import Covered
from pi_agent.session.session_names import Session
from pi_agent.session.signal_relay import Above
from pi_agent.session.unfinished import Client, Unfinished
from tests.support.policies import frozen, replaced
from tests.support.shapes import ODD


@pytest.fixture
def running(tmp_path: Path) -> Unfinished:
    return Unfinished(
        frozen().tools,
        Session("u.service", str(tmp_path)),
        "pi",
        Known("/policy.json").of_user("alice").of_unit("u.service"),
        Client(11, 12),
        Guard(4711, 13),
        14,
        15,
        (16, 17),
        Above(815, None),
        None,
        None,
        None,
    )


def read_back(running: Unfinished) -> Unfinished:
    unfinished.write(running)
    return unfinished.read(running.session)


def test_it_is_read_back_as_it_was_written(running: Unfinished) -> None:
    assert read_back(running) == running


@pytest.mark.parametrize(
    "name", [*(word for word in ODD if word), "Ä \U0001f980 \u2028", "\udcff\udc80", 'a"b\\c\n\x7f']
)
def test_paths_of_every_kind_survive(running: Unfinished, name: str) -> None:
    covers = {f"{name}/.envrc": 1, "b": 2}
    covered = Covered(5, 6, f"/home/{name}", True, f"/home/{name}/x", Means(7, 8, 9), covers, [f"{name}/.envrc"], [10])
    project, known = Project(f"/home/{name}", 3, f"/home/{name}/{name}"), Known("/p").in_root(f"/home/{name}")
    odd = replaced(running, project=project, known=known, covered=covered)
    found = read_back(odd)
    assert found == odd
    assert found.project is not None and os.fsencode(found.project.root) == os.fsencode(f"/home/{name}")


def test_the_modes_of_a_terminal_survive_and_can_be_set(running: Unfinished) -> None:
    master, slave = pty.openpty()
    modes = termios.tcgetattr(slave)
    found = read_back(replaced(running, terminal=Terminal(slave, modes, RESET), above=Above(1, Terminal(9, None, b""))))
    assert found.terminal == Terminal(slave, modes, RESET) and found.above == Above(1, Terminal(9, None, b""))
    termios.tcsetattr(slave, termios.TCSANOW, [*modes[:6], [b"\xff", *modes[6][1:]]])
    modes = termios.tcgetattr(slave)
    found = read_back(replaced(running, terminal=Terminal(slave, modes, b"\x00\x80\xff")))
    assert found.terminal == Terminal(slave, modes, b"\x00\x80\xff")
    found.terminal.put_right()
    os.close(master)
    os.close(slave)


def test_all_descriptors_are_named_once(running: Unfinished) -> None:
    covered = Covered(21, 22, "/r", False, "/r", Means(23, 24, 25), {}, [], [27])
    above, own = Above(1, Terminal(18, None, b""), 26), Terminal(19, None, b"")
    whole = replaced(running, above=above, terminal=own, project=Project("/", 20, "/"), covered=covered)
    assert sorted(whole.descriptors()) == [*range(11, 28)]
    assert sorted(running.descriptors()) == [*range(11, 18)]


def test_only_the_last_of_several_versions_is_read(running: Unfinished) -> None:
    unfinished.write(replaced(running, command="x" * 10_000))
    assert read_back(running) == running
