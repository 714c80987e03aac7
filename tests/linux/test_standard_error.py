from __future__ import annotations

import os

import pytest

from pi_agent.linux import standard_error


def test_undecodable_text_is_written_as_its_bytes(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    standard_error.say("pi", os.fsdecode(b"\xff"))
    assert capfdbinary.readouterr().err == b"pi: \xff\n"


def test_the_first_line_follows_the_commands_name_and_the_others_are_indented(
    capfd: pytest.CaptureFixture[str],
) -> None:
    standard_error.say("agent", "one\ntwo\n  three")
    assert capfd.readouterr() == ("", "agent: one\n    two\n      three\n")


def test_a_lost_terminal_is_no_error() -> None:
    kept = os.dup(2)
    os.close(2)
    try:
        standard_error.say("pi", "x")
    finally:
        os.dup2(kept, 2)
        os.close(kept)
