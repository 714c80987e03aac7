"""Journal and units: one unit per session, and entries for start, end and refusal, without any content."""

from __future__ import annotations

import json
import pwd
import re
import signal
from collections.abc import Sequence
from pathlib import Path

import pytest
from support import strace
from support.commands import as_user, inside, on_machine, pi
from support.installed import FACTS, SECRETS, Json, agent, demo, home, policy
from support.processes import ours
from support.sessions import IDLE, session
from support.sudo import ONLY_SUDO
from support.units import shown
from support.waiting import until

README = Path(__file__).parents[2] / "README.md"
UNIT = re.compile(r"pi-agent-alice-[0-9a-f]{16}\.service")


@pytest.fixture
def since() -> str:
    """The current end of the journal, as a cursor."""
    on_machine("journalctl", "--sync").ok()
    text = on_machine("journalctl", "--lines=1", "--output=json").ok().text
    return str(json.loads(text.splitlines()[-1])["__CURSOR"])


def entries(since: str, *matches: str) -> list[Json]:
    """Our entries after that cursor."""
    on_machine("journalctl", "--sync").ok()
    words = ("--output=json", "--all", f"--after-cursor={since}", "-t", "pi-agent", *matches)
    return [json.loads(line) for line in on_machine("journalctl", *words).ok().text.splitlines()]


def facts(
    entry: Json, names: Sequence[str] = ("EVENT", "HOST_USER", "PROJECT_ROOT", "OUTCOME")
) -> tuple[str | None, ...]:
    return tuple(entry.get(f"PI_AGENT_{name}") for name in names)


ROOT = str(home("alice") / "p/demo")


@pytest.mark.parametrize("status", [0, 7])
def test_a_session_has_a_start_and_an_end(since: str, status: int) -> None:
    inside(f"exit {status}")
    start, end = entries(since)
    assert facts(start) == ("start", "alice", ROOT, None)
    assert facts(end) == ("end", "alice", ROOT, str(status))
    for entry in (start, end):
        assert entry["PI_AGENT_POLICY"] == FACTS["variants"]["pi-probe"]["policy"]
        assert entry["PI_AGENT_UNIT"] == start["PI_AGENT_UNIT"]
        assert UNIT.fullmatch(entry["PI_AGENT_UNIT"])
        assert entry["_UID"] == "0", "said by the runner, and the journal knows that"
        assert entry["PI_AGENT_UNIT"] in entry["MESSAGE"]


def test_a_session_is_one_unit_of_our_slice(since: str) -> None:
    with session("alice", "pi-probe", *IDLE) as running:
        assert UNIT.fullmatch(running.unit)
        assert shown(running.unit, "Slice") == "pi-agent.slice"
        assert shown(running.unit, "User") == str(agent("pi-probe").pw_uid)
        [start] = entries(since)
        assert start["PI_AGENT_UNIT"] == running.unit


def test_a_session_that_is_killed_has_its_end(since: str) -> None:
    with session("alice", "pi-probe", *IDLE) as running:
        on_machine("systemctl", "kill", "--signal=KILL", running.unit).ok()
        running.wait()
    assert [facts(entry) for entry in entries(since)] == [
        ("start", "alice", ROOT, None),
        ("end", "alice", ROOT, "137"),
    ]


def test_a_session_whose_sudo_is_killed_has_its_end(since: str) -> None:
    with session("alice", "pi-probe", *IDLE):
        min(ours()["sudo"], key=lambda process: process.pid).kill(signal.SIGKILL)
        until(lambda: len(entries(since)) > 1, "there is an end")
    assert facts(entries(since)[1])[:3] == ("end", "alice", ROOT)


def test_a_session_without_a_project_names_none(since: str) -> None:
    as_user("alice", "pi-probe", "--version", cwd="/").ok()
    start, end = entries(since)
    assert facts(start) == ("start", "alice", None, None)
    assert facts(end) == ("end", "alice", None, "0")


def test_a_refusal_by_the_wrapper_says_who_and_why(since: str) -> None:
    refused = as_user("carol", "pi-probe", cwd=home("carol"))
    assert refused.status == 77
    [entry] = entries(since)
    assert facts(entry) == ("refused", None, None, "77")
    # The journal itself records the sender's identity. Nobody can forge it.
    assert entry["_UID"] == str(pwd.getpwnam("carol").pw_uid)
    assert entry["MESSAGE"] == "refused: the user «carol» may not use pi-agent on this machine"
    assert entry["MESSAGE"].removeprefix("refused: ") in refused.complaint


def test_a_refusal_by_the_runner_says_who_and_why(since: str) -> None:
    runner = FACTS["variants"]["pi-probe"]["runner"]
    assert as_user("alice", FACTS["sudo"], "-n", runner, cwd=home("alice")).status == 77
    [entry] = entries(since)
    assert facts(entry) == ("refused", "alice", None, "77")
    assert (entry["_UID"], entry["PI_AGENT_POLICY"]) == ("0", FACTS["variants"]["pi-probe"]["policy"])
    assert "is not inside an allowed project root" in entry["MESSAGE"]


def test_a_session_that_fails_after_its_start_has_a_refusal_for_its_end(since: str, tmp_path: Path) -> None:
    broken = {**policy(strace.VARIANT), "launcher": "/dev/null"}
    runner = strace.under_policy(broken, strace.runner("exec", "true"), tmp_path)
    result, _ = strace.trace(["-e", "trace=none"], runner, demo("alice"))
    assert result.status == 69
    start, refusal = entries(since)
    assert facts(start)[0] == "start"
    assert facts(refusal) == ("refused", "alice", ROOT, "69")
    assert refusal["PI_AGENT_UNIT"] == start["PI_AGENT_UNIT"]


@ONLY_SUDO
def test_no_prompt_argument_variable_or_login_is_in_the_journal(since: str) -> None:
    marks = {
        kind: f"mark-{kind}-4f1d" for kind in ("prompt", "argument", "variable", "envfile", "secret", "login", "input")
    }
    for name, content in (
        (".pi/.env", f"MARK={marks['envfile']}\n"),
        (".pi/agent/auth.json", json.dumps({"scripted": {"type": "api_key", "key": marks["login"]}})),
    ):
        as_user("alice", "sh", "-c", 'cat >"$1"', "sh", home("alice") / name, stdin=content.encode()).ok()
    with (SECRETS / "base.env").open("a") as file:
        file.write(f"MARKED={marks['secret']}\n")
    # All of them really are inside.
    seen = inside(
        'env; cat "$PI_CODING_AGENT_DIR/auth.json"; echo "$1"; cat', marks["argument"], stdin=marks["input"].encode()
    )
    for kind in ("envfile", "secret", "login", "argument", "input"):
        assert marks[kind] in seen.ok().text, kind
    as_user("alice", "env", f"LC_TIME={marks['variable']}", "pi-probe", "exec", "true").ok()
    as_user("alice", "pi-probe", "exec", marks["argument"], stdin=b"")
    as_user("alice", "pi-probe", marks["prompt"], cwd=home("alice"))
    on_machine("systemctl", "stop", "model-server").ok()  # it logs its requests
    try:
        pi(marks["prompt"])
    finally:
        on_machine("systemctl", "start", "model-server").ok()
    on_machine("logger", "mark-control-4f1d").ok()
    on_machine("journalctl", "--sync").ok()
    assert [line for line in told(since) if "mark-control-4f1d" in line], "who looks in the wrong place finds nothing"
    # What journald records of the arguments of people's shells is not ours.
    found = [line for line in told(since) for mark in marks.values() if mark in line and not OTHERS.match(line)]
    assert found == []


OTHERS = re.compile("(runuser|su|login|logger|systemctl|sh) _CMDLINE ")


def told(since: str) -> list[str]:
    """Every field of every journal entry after that cursor: its program, name and value."""
    lines = on_machine("journalctl", "--output=json", "--all", f"--after-cursor={since}").ok().text.splitlines()
    found = [json.loads(line) for line in lines]
    return [f"{entry.get('_COMM')} {name} {value}" for entry in found for name, value in entry.items()]


@ONLY_SUDO
def test_no_argument_is_in_what_the_journal_knows_of_sudo(since: str) -> None:
    """journald adds a program's command line to its messages: with sudo-rs, to PAM's about its session."""
    as_user("alice", "pi-probe", "exec", "true", "mark-sudo-4f1d").ok()
    on_machine("journalctl", "--sync").ok()
    assert [line for line in told(since) if line.startswith("sudo ") and "mark-sudo-4f1d" in line] == []


def test_the_commands_of_the_readme_run_as_they_are_written() -> None:
    section = README.read_text().partition("## Who did what")[2].partition("\n## ")[0]
    block = section.partition("```console\n")[2].partition("```")[0]
    commands = [line.removeprefix("$ ").partition("  #")[0].strip() for line in block.splitlines() if line]
    assert len(commands) >= 4
    as_user("carol", "pi-probe", cwd=home("carol"))
    assert as_user("alice", "pi-probe", "exec", "true", cwd=home("alice") / "p").ok()
    with session("alice", "pi-probe", *IDLE) as running:
        on_machine("journalctl", "--sync").ok()
        here = [command.replace("/home/alice/projects", str(home("alice") / "p")) for command in commands]
        assert here != commands, "the one project that they name is none of this machine"
        printed = [on_machine("sh", "-c", command).ok().text for command in here]
        everything, refusals, _, of_one, status = printed
        assert running.unit in everything
        assert "«carol» may not use" in refusals
        assert "starts" not in refusals
        assert "starts" in of_one
        assert running.unit in status
