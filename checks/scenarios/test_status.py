"""`--sandbox-status` and `--sandbox-stop` concern one's own sessions, and never anybody else's."""

from __future__ import annotations

import json
import re
import time

import pytest
from support.commands import Result, as_user
from support.installed import FACTS, Json, demo, home
from support.leftovers import assert_clean, staged
from support.sessions import IDLE, session
from support.units import units
from support.waiting import PATIENCE, until

from pi_agent.messages import command_output

RUNNER = (FACTS["sudo"], "-n", FACTS["variants"]["pi-probe"]["runner"])
STUBBORN = ("exec", "bash", "-c", "trap '' TERM; echo ready; while read -r _; do :; done; sleep 100")


def command(user: str, *words: str) -> Result:
    """A sandbox command, from a directory that is not a project."""
    return as_user(user, "pi-probe", *words, cwd="/")


def listed(user: str) -> list[Json]:
    value: list[Json] = json.loads(command(user, "--sandbox-status", "--json").ok().stdout)
    return value


def test_who_has_no_session_is_told_so() -> None:
    assert command("alice", "--sandbox-status").ok().text == command_output.NO_SESSIONS
    assert listed("alice") == []
    assert command("alice", "--sandbox-stop").ok().text == command_output.NO_SESSIONS


def test_a_session_is_shown_to_its_own_user_and_to_nobody_else() -> None:
    began = time.time()
    with session("alice", "pi-probe", *IDLE) as hers, session("bob", "pi-probe", *IDLE) as his:
        [mine] = listed("alice")
        assert mine["unit"] == hers.unit
        assert mine["id"] == hers.unit.rpartition("-")[2][:8]
        assert (mine["projectRoot"], mine["directory"]) == (str(home("alice") / "p/demo"), str(demo("alice")))
        assert abs(time.mktime(time.strptime(mine["since"], "%Y-%m-%dT%H:%M:%SZ")) - time.timezone - began) < 3700
        assert mine["memoryBytes"] is None or 100_000 < mine["memoryBytes"] < 2**34
        assert mine["cpuSeconds"] is None or 0 <= mine["cpuSeconds"] < 60
        [row] = command("alice", "--sandbox-status").ok().text.splitlines()[1:]
        assert row.startswith(mine["id"]) and row.endswith(str(home("alice") / "p/demo"))
        assert re.search(r"  \d+ (s|min)  ", row)
        assert [each["unit"] for each in listed("bob")] == [his.unit]
        theirs = command("bob", "--sandbox-status").ok().text
        assert mine["id"] not in theirs and "alice" not in theirs


def test_the_runner_by_itself_says_the_same() -> None:
    with session("alice", "pi-probe", *IDLE):
        by_runner = json.loads(as_user("alice", *RUNNER, "--sandbox-status", "--json", cwd="/").ok().stdout)
        assert [each["id"] for each in by_runner] == [each["id"] for each in listed("alice")]


def test_the_only_session_is_ended_without_a_name_and_told_its_status() -> None:
    with session("alice", "pi-probe", *IDLE) as hers:
        hers.settled()
        [mine] = listed("alice")
        assert command("alice", "--sandbox-stop").ok().text == command_output.session_ended(mine["id"])
        assert staged() == []
        until(lambda: units("alice") == [], "systemd has forgotten it")
        assert hers.wait().status == 143
    assert listed("alice") == []


def test_of_several_sessions_the_one_that_is_named_is_ended() -> None:
    with session("alice", "pi-probe", *IDLE) as first, session("alice", "pi-probe", *IDLE) as second:
        refused = command("alice", "--sandbox-stop")
        assert refused.status == 64
        assert [each["id"] in refused.text for each in listed("alice")] == [True, True]
        assert sorted(units("alice")) == sorted([first.unit, second.unit])
        name = second.settled().unit.rpartition("-")[2][:8]
        command("alice", "--sandbox-stop", name).ok()
        assert units("alice") == [first.unit]
        assert second.wait().status == 143


def test_anothers_session_is_as_unknown_as_one_that_never_was() -> None:
    with session("alice", "pi-probe", *IDLE) as hers:
        [mine] = listed("alice")
        answers = {
            name: command("bob", "--sandbox-stop", name).complaint.replace(name, "NAME")
            for name in (mine["id"], "0123abcd", hers.unit, hers.unit.removesuffix(".service"))
        }
        assert len(set(answers.values())) == 1
        assert command("bob", "--sandbox-stop", mine["id"]).status == 64
        assert command("bob", "--sandbox-stop").ok().text == command_output.NO_SESSIONS
        assert units("alice") == [hers.unit]
        assert [each["unit"] for each in listed("alice")] == [hers.unit]


@pytest.mark.parametrize("name", ["", "*", "../0", "x\x1b[2J", "a" * 5000, "--", "pi-agent.slice"])
def test_a_name_that_is_none_ends_nothing(name: str) -> None:
    with session("alice", "pi-probe", *IDLE) as hers:
        refused = command("alice", "--sandbox-stop", "--", name)
        assert refused.status == 64
        assert "\x1b" not in refused.complaint
        assert units("alice") == [hers.unit]


def test_a_session_that_does_not_want_to_end_is_ended_all_the_same() -> None:
    with session("alice", "pi-probe", *STUBBORN) as hers:
        hers.settled()
        began = time.monotonic()
        command("alice", "--sandbox-stop").ok()
        assert time.monotonic() - began >= 4
        until(lambda: units("alice") == [], "systemd has forgotten it")
        assert hers.wait().status == 137
    assert_clean(PATIENCE)


def test_a_reader_that_goes_away_is_no_bug() -> None:
    done = as_user(
        "alice", "bash", "-c", "pi-probe --sandbox-status --json | true; echo ${PIPESTATUS[0]}", cwd="/"
    ).ok()
    assert done.text in ("0", "141")
    assert done.complaint == ""
