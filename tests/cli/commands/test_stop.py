"""`--sandbox-stop`, with stand-ins for systemd and for the sessions."""

from __future__ import annotations

from pathlib import Path

import pytest

from pi_agent.cli.commands import stop
from pi_agent.messages import command_output
from pi_agent.messages.refusal import EX_UNAVAILABLE, EX_USAGE, Refusal
from tests.support.bench import Bench, bench
from tests.support.calls import call_of
from tests.support.fakes import Bin
from tests.support.sessions import Sessions, session


@pytest.fixture
def bin_(tmp_path: Path) -> Bin:
    return Bin(tmp_path / "bin")


@pytest.fixture
def here(tmp_path: Path) -> Bench:
    return bench(tmp_path)


def test_without_a_session_there_is_nothing_to_end_and_no_error(
    here: Bench, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    sessions = Sessions(monkeypatch)
    assert stop.run(call_of(here, "--sandbox-stop")) == 0
    assert capfd.readouterr().out.splitlines() == [command_output.NO_SESSIONS]
    assert sessions.stopped == []


def test_the_only_one_is_ended_and_one_of_several_by_its_name(here: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    sessions = Sessions(monkeypatch, session(1))
    assert stop.run(call_of(here, "--sandbox-stop")) == 0
    assert sessions.stopped == ["pi-agent-alice-1.service"]
    sessions = Sessions(monkeypatch, session(1), session(2))
    assert stop.run(call_of(here, "--sandbox-stop", "id2")) == 0
    assert sessions.stopped == ["pi-agent-alice-2.service"]


def test_one_that_only_begins_is_stopped_until_it_is_gone(here: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    sessions = Sessions(monkeypatch, session(1), rounds=3)
    assert stop.run(call_of(here, "--sandbox-stop")) == 0
    assert len(sessions.stopped) == 3


def test_one_that_stays_is_told(here: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    Sessions(monkeypatch, session(1), rounds=10**9)
    monkeypatch.setattr(stop, "_PATIENCE", 0.05)
    with pytest.raises(Refusal) as caught:
        stop.run(call_of(here, "--sandbox-stop"))
    assert caught.value.status == EX_UNAVAILABLE and "pi-agent-alice-1.service" in caught.value.remedy


@pytest.mark.parametrize("words", [[], ["id3"], [""], ["id"], ["pi-agent-alice-1.service"], ["\x1b[2J"]])
def test_what_names_no_one_session_of_several_ends_none(
    here: Bench, bin_: Bin, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    sessions = Sessions(monkeypatch, session(1), session(2))
    with pytest.raises(Refusal) as caught:
        stop.run(call_of(here, "--sandbox-stop", "--", *words, tools=bin_.tools()))
    assert caught.value.status == EX_USAGE
    assert sessions.stopped == []
    assert not words or not words[0] or words[0] not in caught.value.what  # it would go into the journal
