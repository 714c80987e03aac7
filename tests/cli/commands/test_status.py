"""`--sandbox-status`, with stand-ins for systemd and for the sessions."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pi_agent.cli.commands import status
from pi_agent.cli.commands.status import Use
from pi_agent.messages import command_output
from pi_agent.session.running_sessions import RunningSession
from tests.support.bench import Bench, bench
from tests.support.calls import call_of
from tests.support.fakes import Bin
from tests.support.sessions import Sessions, session

NONE = Use(None, None)


@pytest.fixture
def bin_(tmp_path: Path) -> Bin:
    return Bin(tmp_path / "bin")


@pytest.fixture
def here(tmp_path: Path) -> Bench:
    return bench(tmp_path)


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
    each = session(1, "/home/alice/p\x1b[2J\nq")
    starting = RunningSession(each.session, "id2", None, None, None)
    status.show([each, starting], {each.session.unit: Use(3 * 1024**2, 61.0)}, each.since + 7200 if each.since else 0)
    head, row, second = capfd.readouterr().out.splitlines()
    assert head.split() == ["SESSION", "SINCE", "FOR", "MEMORY", "CPU", "PROJECT", "ROOT"]
    assert row.startswith("id1") and row.endswith("2 h  3.0 MiB  1 min  /home/alice/p\\x1b[2J\\nq")
    assert second.split()[:3] == ["id2", "starting", "-"]


def test_status_as_json(
    here: Bench, bin_: Bin, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    Sessions(monkeypatch, session(1, "/p\udcff"), session(2, None))
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
    assert status.run(call_of(here, "--sandbox-status", "--json")) == 0
    assert capfd.readouterr().out.splitlines() == [command_output.NO_SESSIONS, "[]"]
