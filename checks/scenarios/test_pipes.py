"""Standard streams and arguments pass through unchanged, byte for byte."""

from __future__ import annotations

import json
import os
import random
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import IO, Final

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from support.commands import Result, as_user, inside, login, on_machine, pi, probe
from support.installed import FACTS, demo
from support.terminals import ended, terminal

ANY_BYTES: Final = random.Random(1).randbytes(1024**2)  # noqa: S311 (the same bytes in every run)


def test_a_mebibyte_of_any_bytes_passes_both_ways() -> None:
    result = inside("cat", stdin=ANY_BYTES).ok()
    assert result.stdout == ANY_BYTES
    assert result.stderr == b""


def test_standard_error_is_apart_and_binary_clean() -> None:
    result = inside("echo out; cat >&2; echo out", stdin=ANY_BYTES).ok()
    assert result.stdout == b"out\nout\n"
    assert result.stderr == ANY_BYTES


def test_no_byte_is_added_where_nothing_is_written() -> None:
    result = inside("true").ok()
    assert (result.stdout, result.stderr) == (b"", b"")


def test_nothing_is_a_terminal() -> None:
    assert probe()["tty"] == [False, False, False]


def test_each_stream_is_a_terminal_or_not_as_the_caller_has_it() -> None:
    for redirection, expected in (("</dev/null", [False, True, True]), (">../out", [True, False, True])):
        screen = terminal("alice", "bash", "-c", f"pi-probe {redirection}; cat ../out 2>/dev/null")
        screen.expect(rb"\"tty\": (\[[a-z, ]+\])")
        assert json.loads(screen.match.group(1)) == expected
        assert ended(screen) in (0, 1)


def test_the_end_of_input_is_seen() -> None:
    assert inside("cat; echo end").ok().text == "end"


def test_input_that_is_not_read_is_no_trouble() -> None:
    assert inside("echo said", stdin=ANY_BYTES).ok().text == "said"


def test_a_reader_that_stops_reading_ends_it() -> None:
    result = as_user("alice", "bash", "-c", "pi-probe exec yes | head -n 1; echo ${PIPESTATUS[0]}")
    assert result.stdout == b"y\n141\n"


def test_streams_may_be_closed_or_files() -> None:
    script = "pi-probe exec sh -c 'cat; echo said; echo complained >&2' <README >../out 2>../err; cat ../out ../err"
    assert as_user("alice", "sh", "-c", script).ok().text == "A project of alice.\nsaid\ncomplained"
    as_user("alice", "sh", "-c", "pi-probe exec true <&-").ok()
    as_user("alice", "sh", "-c", "pi-probe exec true <&- >&- 2>&-").ok()


def test_what_is_written_arrives_while_the_session_goes_on() -> None:
    with subprocess.Popen(
        login("alice", ["pi-probe", "exec", "sh", "-c", 'echo first; read line; echo "$line"']),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd="/",
    ) as client:
        assert client.stdin is not None
        assert client.stdout is not None
        assert client.stdout.readline() == b"first\n"
        client.stdin.write(b"second\n")
        client.stdin.flush()
        assert client.stdout.readline() == b"second\n"
        assert client.wait(10) == 0


def test_a_prompt_on_standard_input_reaches_the_real_pi() -> None:
    assert as_user("alice", "pi", "-p", stdin=b"from a pipe").ok().text == "echo: from a pipe"
    assert pi("from an argument").ok().stdout == b"echo: from an argument\n"


def test_the_real_pi_in_json_and_before_a_reader_that_stops() -> None:
    result = as_user("alice", "pi", "--mode", "json", "-p", "hello").ok()
    events = [json.loads(line) for line in result.stdout.splitlines()]
    assert events[-1]["type"] in ("agent_end", "agent_settled")
    assert result.stderr == b""
    answer = as_user("alice", "bash", "-c", "pi --mode json -p hello | head -n 1; echo ${PIPESTATUS[@]}").ok()
    first, statuses = answer.text.splitlines()
    assert json.loads(first)["type"] == "session"
    assert statuses.endswith(" 0")
    assert not answer.stderr or b"EPIPE" in answer.stderr


def iter_until(lines: IO[bytes], last: bytes) -> Iterator[bytes]:
    """Lines, up to the first one with these bytes."""
    for line in lines:
        yield line
        if last in line:
            return


def test_the_real_pi_answers_as_many_requests_as_come() -> None:
    with subprocess.Popen(
        login("alice", ["pi", "--mode", "rpc"]),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd="/",
    ) as client:
        assert client.stdin is not None and client.stdout is not None and client.stderr is not None
        for number in range(60):
            request = {"id": str(number), "type": "prompt", "message": f"number {number}"}
            client.stdin.write(json.dumps(request).encode() + b"\n")
            client.stdin.flush()
            # Every line is an event, and nothing else is printed.
            events = [json.loads(line) for line in iter_until(client.stdout, b'"type":"agent_settled"')]
            assert [event["id"] for event in events if event["type"] == "response"] == [str(number)]
            assert f"echo: number {number}" in json.dumps(events)
        client.stdin.close()
        assert client.wait(20) == 0
        assert client.stderr.read() == b""


GIGABYTE: Final = 1 << 30
# On a quiet machine it is 1.2 without the launch itself. The bound leaves room for a busy one.
NOT_SLOWER_THAN: Final = 2.0


def test_a_gigabyte_passes_about_as_fast_as_through_sudo_alone() -> None:
    def seconds(run: Callable[..., Result], size: int, *command: str) -> float:
        script = f'head -c {size} /dev/zero | "$@" | tail -c 1 | wc -c'
        begun = time.monotonic()
        assert run("sh", "-c", script, "sh", *command, timeout=120).ok().text == "1"
        return time.monotonic() - begun

    wrapped = partial(seconds, partial(as_user, "alice"))
    plain = partial(seconds, on_machine)
    rounds = []
    for _ in range(9):
        # Alternating, so that other load affects all of them; repeated until it does not.
        rounds.append(
            [
                each
                for size in (1, GIGABYTE)
                for each in (wrapped(size, "pi-probe", "exec", "cat"), plain(size, FACTS["sudo"], "-n", "cat"))
            ]
        )
        launch, sudo, whole, whole_by_sudo = (statistics.median(column) for column in zip(*rounds, strict=True))
        ratio = (whole - launch) / (whole_by_sudo - sudo)
        if len(rounds) >= 3 and ratio < NOT_SLOWER_THAN:
            break
    print(f"\na gigabyte: {ratio:.2f} times what sudo cat takes, {whole / whole_by_sudo:.2f} with the launch")
    assert ratio < NOT_SLOWER_THAN


def test_the_streams_are_the_callers_own() -> None:
    """Nothing stands between, which is why a gigabyte is no slower."""
    links = "readlink /proc/$$/fd/0 /proc/$$/fd/1 /proc/$$/fd/2 >&2; exit"
    script = f"echo | {{ sh -c '{links}'; pi-probe exec sh -c '{links}'; }} | cat"
    lines = as_user("alice", "sh", "-c", script).ok().stderr.splitlines()
    assert all(line.startswith(b"pipe:") for line in lines)
    assert len(lines) == 6 and lines[:3] == lines[3:]


def given_arguments(*arguments: bytes) -> list[bytes]:
    return [os.fsencode(word) for word in probe(*arguments)["argv"]]


ARGUMENTS: Final = [
    b"",
    b"two words",
    b"line\nbreak\ttab\r",
    b"'single' \"double\" `back` \\slash\\",
    b"%h %% %u %n %i %",
    b"$HOME ${HOME} $$ ${X} $(id) `id` ${",
    b"* ? [a] {a,b} ~ ! # ; & | < > ( )",
    b"-",
    b"--",
    b"-x",
    b"--property=User=root",
    b"\x01\x1b[31m\x7f",
    b"\xff\xfe \xc3\x28 \xed\xa0\x80",
    "ünïcödé ☃ 𝄞".encode(),
    b"=",
    b"A=B",
    b"@file",
    b"",
]


def test_arguments_arrive_as_they_were_given() -> None:
    assert given_arguments(*ARGUMENTS) == ARGUMENTS


@pytest.mark.parametrize("first", [b"--", b"", b"-v", b"--version ", b"-p", b"--help=1", b"-"])
def test_the_first_argument_is_pis_too(first: bytes) -> None:
    assert given_arguments(first, b"x") == [first, b"x"]


def test_long_arguments_and_many_of_them_arrive() -> None:
    long = [b"x" * 100 * 1024, b" " * 100 * 1024]
    assert given_arguments(*long) == long
    many = [str(number).encode() for number in range(10_000)]
    assert given_arguments(*many) == many


def are_shown(words: list[bytes]) -> bool:
    """Whether the probe prints these arguments."""
    return words[0] != b"exec"


WORDS = st.lists(st.binary(max_size=40).map(lambda word: word.replace(b"\0", b"")), min_size=1, max_size=60)


@settings(max_examples=15, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(WORDS.filter(are_shown))
@example([b"%h"] * 3)
@example([bytes(range(1, 256))])
def test_any_arguments_arrive(words: list[bytes]) -> None:
    assert given_arguments(*words) == words


def test_arguments_are_in_no_command_line_that_others_can_read() -> None:
    script = 'echo "$1"; cat >/dev/null'
    with subprocess.Popen(
        login("alice", [FACTS["variants"]["pi-probe"]["wrapper"], "exec", "bash", "-c", script, "x", "CHECKS-WORD"]),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd="/",
    ) as client:
        assert client.stdout is not None
        assert client.stdout.readline() == b"CHECKS-WORD\n"
        # The caller's own command lines, of sudo and the wrapper, hold the caller's words. The unit's does not.
        shown = subprocess.run(
            ["systemctl", "show", "pi-agent-alice-*"], capture_output=True, check=True, cwd="/", text=True
        ).stdout
        assert "ExecStart=" in shown
        assert "CHECKS-WORD" not in shown
        client.communicate()


def test_the_working_directory_is_the_callers() -> None:
    below = demo("alice") / "a" / "b c"
    as_user("alice", "mkdir", "-p", below).ok()
    assert probe(cwd=below)["cwd"] == str(below)
