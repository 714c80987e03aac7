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
def test_a_lone_question_for_help_or_version_needs_nothing(argument: str) -> None:
    assert command_line.needs_no_configuration([argument])
    assert command_line.needs_no_project([argument], []) and command_line.needs_no_project([argument], ["--extra"])
    for words in ([argument, argument], [argument, "-p"], ["-p", argument], [f"{argument}=x"], ["list", argument]):
        assert not command_line.needs_no_configuration(words)
    for words in ([argument, argument], [argument, "-p"], ["-p", argument], [f"{argument}=x"]):
        assert not command_line.needs_no_project(words, [])


_ANYWHERE = (
    ["list"], ["list", "--no-approve"], ["config"], ["update"], ["update", "--models"], ["install", "npm:x"],
    ["remove", "npm:x"], ["uninstall", "npm:x"], ["--list-models"], ["--list-models", "sonnet"], ["auth", "login", "x"],
    ["auth", "check", "--provider", "x"], ["mcp"], ["mcp", "list", "--json"], ["install", "--help"],
    ["config", "-l", "-h"], ["install", "x", "-l", "--help"],
)  # fmt: skip
_IN_A_PROJECT = (
    ["install", "npm:x", "-l"], ["remove", "--local", "x"], ["uninstall", "x", "-l"], ["config", "-l"],
    ["--list-models", "-p"], ["--list-models", "a", "b"], ["-p", "list"], ["lists"], ["--", "list"], ["", "list"],
    ["--offline", "list"], ["list-models"], ["help"],
)  # fmt: skip


@pytest.mark.parametrize("words", _ANYWHERE, ids=" ".join)
def test_a_command_for_the_user_needs_no_project_unless_the_policy_puts_something_before_it(words: list[str]) -> None:
    assert command_line.needs_no_project(words, [])
    assert not command_line.needs_no_configuration(words)
    assert not command_line.needs_no_project(words, ["--extra"])


@pytest.mark.parametrize("words", _IN_A_PROJECT, ids=" ".join)
def test_what_is_about_a_project_needs_one(words: list[str]) -> None:
    assert not command_line.needs_no_project(words, [])


@given(st.lists(st.text(max_size=10)))
def test_everything_else_needs_a_project(arguments: list[str]) -> None:
    if command_line.needs_no_project(arguments, []):
        words = command_line.for_pi(arguments)
        assert command_line.needs_no_configuration(arguments) or words[0] in {
            "auth", "list", "mcp", "update", "config", "install", "remove", "uninstall", "--list-models",
        }  # fmt: skip


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
    for before in ([], ["--extra"]):
        assert command_line.needs_no_project([word, *arguments], before) == command_line.needs_no_project(
            arguments, before
        )


@pytest.mark.parametrize("word", ["--sandbox-timing=", "--sandbox-timing=xml", "--sandbox-timing-json"])
def test_it_is_asked_in_two_ways_and_no_other(word: str) -> None:
    assert command_line.is_sandbox_command([word])
    assert not command_line.is_timed([word])
