from __future__ import annotations

import os
import subprocess
import sys

import orjson
import pytest

from pi_agent.cli import output
from tests.support.checkout import TOP


def test_lines_are_written_as_they_are_and_what_has_no_bytes_escaped(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    output.lines(["a b", "", "ü«»", "\udcff"])
    assert capfdbinary.readouterr().out == "a b\n\nü«»\n\\udcff\n".encode()


def test_json_is_valid_whatever_the_names_are(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    output.json({"a\udcff": [os.fsdecode(b"\xff"), None, 1, True, "\x1b"]})
    text = capfdbinary.readouterr().out
    assert orjson.loads(text) == {"a\ufffd": ["\ufffd", None, 1, True, "\x1b"]}
    assert text.endswith(b"\n") and b"\x1b" not in text


def test_the_columns_of_a_table_begin_below_each_other(capfd: pytest.CaptureFixture[str]) -> None:
    output.table(("NAME", "SIZE", "ROOT"), [("a", "10 KiB", "/x"), ("longer", "1 B", "")])
    assert capfd.readouterr().out.splitlines() == [
        "NAME    SIZE    ROOT",
        "a       10 KiB  /x",
        "longer  1 B     ",
    ]
    output.table(("NAME", "ROOT"), [])
    assert capfd.readouterr().out == "NAME  ROOT\n"


def test_a_reader_that_went_away_is_no_traceback() -> None:
    code = "from pi_agent.cli import output; output.lines(['x' * 100] * 10_000)"
    with subprocess.Popen([sys.executable, "-c", code], cwd=TOP, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as run:
        assert run.stdout is not None and run.stderr is not None
        run.stdout.read(5)
        run.stdout.close()
        assert run.stderr.read() == b""
        assert run.wait() == 128 + 13


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
