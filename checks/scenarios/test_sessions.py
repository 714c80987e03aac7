"""`--sandbox-sessions` lists the transcripts in a tree of the agent's, for their user only."""

from __future__ import annotations

import json

from support.commands import as_user, inside, pi
from support.installed import Json, demo, isolated
from support.transcripts import IN_SESSIONS, planted

from pi_agent.messages import command_output

HEADER = '{"type":"session","version":3,"id":"x","cwd":"/p"}'
SAID = '{"type":"message","message":{"role":"user","content":[{"type":"text","text":"%s"}]}}'


def listed(user: str = "alice", command: str = "pi-probe") -> list[Json]:
    value: list[Json] = json.loads(as_user(user, command, "--sandbox-sessions", "--json", cwd="/").ok().stdout)
    return value


def test_a_turn_of_pis_is_listed_to_its_user_who_cannot_read_it_and_to_nobody_else() -> None:
    assert as_user("alice", "pi", "--sandbox-sessions", cwd="/").ok().text == command_output.NO_TRANSCRIPTS
    pi("hello there").ok()
    [mine] = listed(command="pi")
    assert (mine["directory"], mine["firstMessage"]) == (str(demo("alice")), "hello there")
    transcript = isolated("alice", "sessions") / mine["file"]
    assert mine["sizeBytes"] == transcript.stat().st_size
    [row] = as_user("alice", "pi", "--sandbox-sessions", cwd="/").ok().text.splitlines()[1:]
    assert str(demo("alice")) in row and row.endswith("hello there")
    assert as_user("alice", "cat", transcript).status != 0
    assert listed("bob", "pi") == []
    pi("of bob", user="bob").ok()
    assert [each["firstMessage"] for each in listed("bob", "pi")] == ["of bob"]
    assert [each["firstMessage"] for each in listed(command="pi")] == ["hello there"]


def test_the_newest_is_first() -> None:
    inside(
        IN_SESSIONS + 'cd $S/--p--; for n in 1 2 3; do echo "{}" >$n.jsonl; touch -d "2024-01-0$n" $n.jsonl; done'
    ).ok()
    assert [each["file"] for each in listed()] == [f"--p--/{number}.jsonl" for number in (3, 2, 1)]


def test_what_a_transcript_says_is_harmless_on_a_terminal() -> None:
    cwd = HEADER.replace("/p", "/p\\u001b[2J\\n")
    planted("--p--/a.jsonl", cwd + "\n" + SAID % "one\\ntwo\\u001b]0;owned\\u0007\\u202e" + "x" * 500)
    planted("--p--/b\x1b[31m\n.jsonl", "not JSON")
    planted("--p--/c.jsonl", "[" * 60_000)
    planted("--p--/d.jsonl", '{"type":"session","cwd":7}\n{"type":"message","message":{"role":"user","content":{}}}')
    done = as_user("alice", "pi-probe", "--sandbox-sessions", cwd="/").ok()
    assert not [byte for byte in done.stdout + done.stderr if byte < 0x20 and byte != 0x0A]
    assert len(done.text.splitlines()) == 5
    assert "\u202e" not in done.text
    assert len(listed()) == 4


def test_only_regular_files_of_one_name_are_transcripts() -> None:
    inside(
        IN_SESSIONS
        + """
        cd $S/--p--; echo '{}' >real.jsonl; ln -s /etc/passwd link.jsonl; mkfifo pipe.jsonl; mkdir dir.jsonl
        echo '{}' >two.jsonl; ln two.jsonl names.jsonl; echo x >other.txt; ln -s / ../--root--
        """
    ).ok()
    assert [each["file"] for each in listed()] == ["--p--/real.jsonl"]
