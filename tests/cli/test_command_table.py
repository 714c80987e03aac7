"""The table of sandbox commands, and the help generated from it."""

from __future__ import annotations

import re
from importlib import import_module

import pytest

from pi_agent.cli import command_line, command_table
from pi_agent.cli.command_table import COMMANDS, Argument, Command
from tests.support.commands import MANY, NASTY


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_every_command_is_done_somewhere_and_told_in_one_line(command: Command) -> None:
    assert command_line.is_sandbox_command([command.name]) is not command.before_pi
    assert re.fullmatch(r"--sandbox-[a-z]+", command.name)
    assert command.launches or command.before_pi or {"run", "on_host"} & vars(import_module(command.module)).keys()
    for line in (command.summary, *(argument.help for argument in command.arguments)):
        assert line and line[0].islower() and not line.endswith(".")
    assert command_table.named(command.name) is command
    overview = command_table.overview("agent").splitlines()
    assert sum(f"agent {command.name}" in line for line in overview) == 1
    assert max(map(len, overview)) <= 100


@pytest.mark.parametrize("name", ["", "--sandbox-", "--sandbox-nothing", "sandbox-help", "--sandbox-help "])
def test_no_other_name_is_a_commands(name: str) -> None:
    assert command_table.named(name) is None


@pytest.mark.parametrize(
    ("name", "positional", "attached"), [("DIR", True, False), ("--json", False, False), ("=json", False, True)]
)
def test_how_an_argument_is_typed_shows_in_its_name(name: str, positional: bool, attached: bool) -> None:
    assert (Argument(name, "x").positional, Argument(name, "x").attached) == (positional, attached)


def test_the_help_of_a_command_shows_its_usage_and_its_arguments() -> None:
    text = command_table.help_of(MANY, "agent").splitlines()
    assert text[0] == "usage: agent --sandbox-many [--json] [SESSION] [DIR]"
    assert f"  --json   {NASTY}" in text and f"  DIR      {NASTY}" in text


def test_its_usage_shows_both_ways_and_that_the_rest_is_pis() -> None:
    command = command_table.named(command_line.TIMING)
    assert command is not None
    assert command_table.usage(command, "agent") == "agent --sandbox-timing[=json] [...]"
