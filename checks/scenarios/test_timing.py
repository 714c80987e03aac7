"""`pi --sandbox-timing`: the same launch, with the time of each step."""

from __future__ import annotations

import json
import re
import time
from typing import Any, Final

import pytest
from support.commands import Result, as_user
from support.installed import demo, home
from support.leftovers import assert_clean
from support.terminals import ended, terminal

from pi_agent.linux.terminals import RESET
from pi_agent.messages import command_output

_BEFORE: Final = ["start", "policy", "caller", "project", "state", "environment", "sync", "mounts", "sandbox", "guard"]
_SESSION: Final = ["provenance", "session start", "session run", "session end", "rest"]
_TITLE: Final = f"pi: {command_output.STEPS_TITLE}"
_SCRIPT: Final = "cat; echo to stderr >&2; sleep 0.3; exit 5"


def _told(line: str | bytes) -> tuple[list[str], dict[str, float], float]:
    """The steps in order, the seconds of each, and the total."""
    value: dict[str, Any] = json.loads(line)
    steps = {step["name"]: step["seconds"] for step in value["steps"]}
    assert all(seconds >= 0 for seconds in steps.values())
    assert sum(steps.values()) == pytest.approx(value["seconds"], abs=1e-4)
    return [*steps], steps, value["seconds"]


def _launch(*before: str) -> Result:
    return as_user("alice", "pi-probe", *before, "exec", "bash", "-c", _SCRIPT, cwd=demo("alice"), stdin=b"input")


def test_status_and_output_are_those_of_the_launch_and_the_steps_come_last() -> None:
    plain = _launch()
    assert (plain.status, plain.stdout, plain.stderr) == (5, b"input", b"to stderr\n")
    since = time.monotonic()
    timed = _launch("--sandbox-timing=json")
    took = time.monotonic() - since
    first, line = timed.stderr.splitlines()
    assert (timed.status, timed.stdout, first + b"\n") == (plain.status, plain.stdout, plain.stderr)
    names, steps, total = _told(line)
    assert names == [*_BEFORE, *_SESSION]
    # The whole session, and nothing else.
    assert steps["session start"] + steps["session run"] >= 0.3
    assert 0.3 < total < took


def test_people_are_told_in_a_table() -> None:
    timed = _launch("--sandbox-timing")
    first, title, *rows = timed.stderr.decode().splitlines()
    assert (timed.status, timed.stdout, first, title) == (5, b"input", "to stderr", _TITLE)
    parsed = [re.fullmatch(r"    ([a-z -]+?) +([0-9]+[.][0-9])", row) for row in rows]
    assert [match and match[1] for match in parsed] == [*_BEFORE, *_SESSION, "total"]
    *steps, total = [float(match[2]) for match in parsed if match]
    assert sum(steps) == pytest.approx(total, abs=0.1 * len(steps))


def test_at_a_terminal_it_is_told_when_the_terminal_is_the_users_again() -> None:
    """On a terminal left in raw mode, a line feed does not start a new line. The reset must come first."""
    screen = terminal("alice", "pi-probe", "--sandbox-timing=json", "exec", "bash", "-c", "stty raw; kill -9 $$")
    assert ended(screen) == 137
    before, brace, told = screen.before.partition(b"{")
    assert before.endswith(RESET)
    assert told.endswith(b"}\r\n")
    assert _told(brace + told)[0] == [*_BEFORE, *_SESSION]
    assert_clean()


def test_of_a_refused_launch_the_steps_until_then_are_told() -> None:
    (home("alice") / ".pi/agent/settings.json").write_text("{")
    refused = as_user("alice", "pi-probe", "--sandbox-timing=json", "exec", "true", cwd=demo("alice"))
    *refusal, line = refused.stderr.splitlines()
    assert refused.status == 65 and b"is not a JSON object" in refusal[0]
    assert _told(line)[0] == ["start", "policy", "caller", "project", "state", "environment", "rest"]


def test_where_the_wrapper_refuses_it_tells_of_its_own_steps() -> None:
    refused = as_user("alice", "pi-probe", "--sandbox-timing=json", cwd="/")
    *refusal, line = refused.stderr.splitlines()
    assert refused.status == 77 and b"is not inside an allowed project root" in refusal[0]
    assert _told(line)[0] == ["start", "policy", "caller", "rest"]
    assert as_user("alice", "pi-probe", "--sandbox-timing=xml", cwd=demo("alice")).status == 64


def test_what_follows_is_pis_alone() -> None:
    for words in (["--sandbox-shell"], ["--sandbox-timing"], ["--help", "x"]):
        shown = as_user("alice", "pi-probe", "--sandbox-timing=json", *words, cwd=demo("alice")).ok()
        assert json.loads(shown.stdout)["argv"] == words
    # Like `pi --version` alone, it needs no project.
    timed = as_user("alice", "pi", "--sandbox-timing", "--version", cwd="/").ok()
    assert timed.stdout == as_user("alice", "pi", "--version", cwd="/").ok().stdout
    assert timed.stderr.decode().splitlines()[0] == _TITLE
