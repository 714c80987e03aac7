"""`--sandbox-status` and `--sandbox-stop`, with stand-ins for systemd and for the sessions."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pi_agent.cli import output
from pi_agent.cli.commands import status, stop
from pi_agent.cli.commands.status import Use
from pi_agent.messages import command_output
from pi_agent.messages.refusal import EX_UNAVAILABLE, EX_USAGE, Refusal
from pi_agent.session import running_sessions, systemctl
from pi_agent.session.running_sessions import RunningSession
from pi_agent.session.session_names import Session
from tests.support.bench import Bench, bench
from tests.support.calls import call_of
from tests.support.fakes import Bin

NONE = Use(None, None)


def one(number: int, root: str | None = "/home/alice/p") -> RunningSession:
    own = Session(f"pi-agent-alice-{number}.service", f"/run/pi-agent/1000/{number}")
    return RunningSession(own, f"id{number}", 1_700_000_000, root, root)


@pytest.fixture
def bin_(tmp_path: Path) -> Bin:
    return Bin(tmp_path / "bin")


@pytest.fixture
def here(tmp_path: Path) -> Bench:
    return bench(tmp_path)


class Sessions:
    """Those that go on. rounds: how often each must be stopped before it is gone."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *each: RunningSession, rounds: int = 1) -> None:
        self.stopped: list[str] = []
        self.rounds = rounds
        monkeypatch.setattr(running_sessions, "of_user", lambda uid: list(each))
        monkeypatch.setattr(running_sessions, "is_running", lambda own: self.stopped.count(own.unit) < self.rounds)
        monkeypatch.setattr(systemctl, "stop", lambda tools, unit: self.stopped.append(unit))
        monkeypatch.setattr(stop, "_ROUND", 0.01)
        monkeypatch.setattr(stop, "_POLL", 0.001)


def test_systemd_is_asked_once_for_all_and_what_it_does_not_count_is_unknown(bin_: Bin) -> None:
    said = "Id=a.service\\nMemoryCurrent=1048576\\nCPUUsageNSec=2500000000\\n\\nMemoryCurrent=[not set]\\nId=b.service"
    tools = bin_.tools(systemctl=f"printf '{said}\\nCPUUsageNSec=18446744073709551615\\n'")
    assert status.used(tools, ["a.service", "b.service", "c.service"]) == {
        "a.service": Use(1048576, 2.5),
        "b.service": NONE,
        "c.service": NONE,
    }
    assert len(bin_.calls()) == 1
    assert status.used(tools, []) == {} and len(bin_.calls()) == 1


@pytest.mark.parametrize("body", ["exit 1", "echo garbage; exit 4", "printf 'MemoryCurrent=-5\\nId=a.service\\n'"])
def test_a_systemd_that_does_not_answer_takes_no_session_away(bin_: Bin, body: str) -> None:
    assert status.used(bin_.tools(systemctl=body), ["a.service"]) == {"a.service": NONE}


def test_sessions_are_a_table_and_foreign_names_in_it_harmless(capfd: pytest.CaptureFixture[str]) -> None:
    each = one(1, "/home/alice/p\x1b[2J\nq")
    starting = RunningSession(each.session, "id2", None, None, None)
    status.show([each, starting], {each.session.unit: Use(3 * 1024**2, 61.0)}, each.since + 7200 if each.since else 0)
    head, row, second = capfd.readouterr().out.splitlines()
    assert head.split() == ["SESSION", "SINCE", "FOR", "MEMORY", "CPU", "PROJECT", "ROOT"]
    assert row.startswith("id1") and row.endswith("2 h  3.0 MiB  1 min  /home/alice/p\\x1b[2J\\nq")
    assert second.split()[:3] == ["id2", "starting", "-"]


def test_status_as_json(
    here: Bench, bin_: Bin, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    Sessions(monkeypatch, one(1, "/p\udcff"), one(2, None))
    tools = bin_.tools(systemctl="printf 'Id=pi-agent-alice-1.service\\nMemoryCurrent=5\\nCPUUsageNSec=1500000000\\n'")
    assert status.run(call_of(here, "--sandbox-status", "--json", tools=tools)) == 0
    first, second = json.loads(capfd.readouterr().out)
    assert first == {
        "id": "id1",
        "unit": "pi-agent-alice-1.service",
        "since": "2023-11-14T22:13:20Z",
        "projectRoot": "/p\ufffd",
        "directory": "/p\ufffd",
        "memoryBytes": 5,
        "cpuSeconds": 1.5,
    }
    assert (second["projectRoot"], second["memoryBytes"]) == (None, None)


def test_no_sessions_is_no_error(
    here: Bench, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    Sessions(monkeypatch)
    assert status.run(call_of(here, "--sandbox-status")) == 0
    assert stop.run(call_of(here, "--sandbox-stop")) == 0
    assert status.run(call_of(here, "--sandbox-status", "--json")) == 0
    assert capfd.readouterr().out.splitlines() == [command_output.NO_SESSIONS] * 2 + ["[]"]


def test_the_only_one_is_ended_and_one_of_several_by_its_name(here: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    sessions = Sessions(monkeypatch, one(1))
    assert stop.run(call_of(here, "--sandbox-stop")) == 0
    assert sessions.stopped == ["pi-agent-alice-1.service"]
    sessions = Sessions(monkeypatch, one(1), one(2))
    assert stop.run(call_of(here, "--sandbox-stop", "id2")) == 0
    assert sessions.stopped == ["pi-agent-alice-2.service"]


def test_one_that_only_begins_is_stopped_until_it_is_gone(here: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    sessions = Sessions(monkeypatch, one(1), rounds=3)
    assert stop.run(call_of(here, "--sandbox-stop")) == 0
    assert len(sessions.stopped) == 3


def test_one_that_stays_is_told(here: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    Sessions(monkeypatch, one(1), rounds=10**9)
    monkeypatch.setattr(stop, "_PATIENCE", 0.05)
    with pytest.raises(Refusal) as caught:
        stop.run(call_of(here, "--sandbox-stop"))
    assert caught.value.status == EX_UNAVAILABLE and "pi-agent-alice-1.service" in caught.value.remedy


@pytest.mark.parametrize("words", [[], ["id3"], [""], ["id"], ["pi-agent-alice-1.service"], ["\x1b[2J"]])
def test_what_names_no_one_session_of_several_ends_none(
    here: Bench, bin_: Bin, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    sessions = Sessions(monkeypatch, one(1), one(2))
    with pytest.raises(Refusal) as caught:
        stop.run(call_of(here, "--sandbox-stop", "--", *words, tools=bin_.tools()))
    assert caught.value.status == EX_USAGE
    assert sessions.stopped == []
    assert not words or not words[0] or words[0] not in caught.value.what  # it would go into the journal


# -- output


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (10 * 1024, "10 KiB"),
        (1536**2, "2.2 MiB"),
        (2**62, "4194304 TiB"),
    ],
)
def test_sizes(number: int, text: str) -> None:
    assert output.size(number) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-5, "0 s"), (59.9, "59 s"), (60, "1 min"), (3599, "59 min"), (3600, "1 h"), (86400 * 3.5, "3 d")],
)
def test_durations(seconds: float, text: str) -> None:
    assert output.duration(seconds) == text
