"""How arguments are interpreted before Pi sees them."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pi_agent.cli import command_line


def test_arguments_are_those_given_whatever_bytes_they_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    given_ = ["", "--", "-x", "a b", "\udcff", "\n"]
    monkeypatch.setattr(sys, "argv", ["pi", *given_])
    assert command_line.arguments() == given_


@pytest.mark.parametrize("argument", ["--version", "-v", "--help", "-h"])
def test_only_a_lone_question_for_help_or_version_is_informational(argument: str) -> None:
    assert command_line.needs_no_project([argument])
    assert not command_line.needs_no_project([argument, argument])
    assert not command_line.needs_no_project([argument, "-p"])
    assert not command_line.needs_no_project(["-p", argument])
    assert not command_line.needs_no_project([f"{argument}=x"])


@given(st.lists(st.text(max_size=10)))
def test_everything_else_needs_a_project(arguments: list[str]) -> None:
    if command_line.needs_no_project(arguments):
        assert command_line.for_pi(arguments) in (["--version"], ["-v"], ["--help"], ["-h"])


@pytest.mark.parametrize("arguments", [[], ["-p"], ["-p", "--sandbox-help"], ["--sandbox"], ["sandbox-help"], [""]])
def test_everything_that_does_not_begin_as_a_command_of_the_sandbox_is_pis(arguments: list[str]) -> None:
    assert not command_line.is_sandbox_command(arguments)
    assert command_line.for_pi(arguments) == arguments


@pytest.mark.parametrize("arguments", [[], ["-p"], ["--help"], ["--sandbox-help"], ["--sandbox-timing"], ["--"]])
@pytest.mark.parametrize("word", ["--sandbox-timing", "--sandbox-timing=json"])
def test_all_that_follows_the_question_for_the_time_is_pis(word: str, arguments: list[str]) -> None:
    assert not command_line.is_sandbox_command([word, *arguments])
    assert command_line.is_timed([word, *arguments])
    assert command_line.for_pi([word, *arguments]) == arguments
    assert command_line.needs_no_project([word, *arguments]) == command_line.needs_no_project(arguments)


@pytest.mark.parametrize("word", ["--sandbox-timing=", "--sandbox-timing=xml", "--sandbox-timing-json"])
def test_it_is_asked_in_two_ways_and_no_other(word: str) -> None:
    assert command_line.is_sandbox_command([word])
    assert not command_line.is_timed([word])
