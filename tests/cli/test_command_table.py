"""The table of sandbox commands, and the parsing of their arguments."""

from __future__ import annotations

import re
from importlib import import_module

import pytest

from pi_agent.cli import command_line, command_table, parsing
from pi_agent.cli.command_table import COMMANDS, Argument, Command
from pi_agent.messages.refusal import EX_USAGE, Refusal

_MANY = Command(
    "--sandbox-many", "does much", (Argument("--json", "as JSON"), Argument("DIR", "where"), Argument("X", "x"))
)


@pytest.fixture
def many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command_table, "COMMANDS", (*COMMANDS, _MANY))


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


def test_the_help_of_a_command_shows_its_usage_and_its_arguments() -> None:
    text = command_table.help_of(_MANY, "agent").splitlines()
    assert text[0] == "usage: agent --sandbox-many [--json] [DIR] [X]"
    assert "  --json  as JSON" in text and "  DIR     where" in text


@pytest.mark.usefixtures("many")
@pytest.mark.parametrize(
    ("words", "flags", "values"),
    [
        ([], set(), {}),
        (["--json"], {"--json"}, {}),
        (["a", "--json", "b"], {"--json"}, {"DIR": "a", "X": "b"}),
        (["--", "--json", "-x"], set(), {"DIR": "--json", "X": "-x"}),
        (["--", "--"], set(), {"DIR": "--"}),
        ([""], set(), {"DIR": ""}),
    ],
)
def test_arguments_are_flags_and_values_in_their_order(
    words: list[str], flags: set[str], values: dict[str, str]
) -> None:
    request = parsing.parse([_MANY.name, *words], "agent")
    assert request == parsing.Invocation(_MANY, frozenset(flags), values, help=False)


@pytest.mark.usefixtures("many")
@pytest.mark.parametrize("words", [["--help"], ["-h"], ["--nothing", "--help"]])
def test_help_wins_over_everything(words: list[str]) -> None:
    assert parsing.parse([_MANY.name, *words], "agent").help


@pytest.mark.usefixtures("many")
@pytest.mark.parametrize("words", [["--nothing"], ["a", "b", "c"], ["-j"], ["--json=1"], ["--", "a", "b", "\x1b[2J"]])
def test_what_is_not_understood_is_named_harmlessly_with_the_usage(words: list[str]) -> None:
    with pytest.raises(Refusal) as caught:
        parsing.parse([_MANY.name, *words], "agent")
    assert caught.value.status == EX_USAGE
    assert words[-1].replace("\x1b", "\\x1b") in caught.value.remedy
    assert "agent --sandbox-many [--json]" in caught.value.remedy
    assert caught.value.remedy.isprintable()


@pytest.mark.parametrize("name", ["--sandbox-", "--sandbox-nothing", "--sandbox-help=1", "--sandbox-\x1b"])
def test_what_is_no_command_is_told_with_those_that_are(name: str) -> None:
    with pytest.raises(Refusal) as caught:
        parsing.parse([name], "agent")
    assert caught.value.status == EX_USAGE
    assert "--sandbox-help" in caught.value.remedy and caught.value.remedy.isprintable()


@pytest.mark.parametrize("word", ["--sandbox-timing=", "--sandbox-timing=xml", "--sandbox-timing-json"])
def test_the_question_for_the_time_in_any_other_way_is_no_command(word: str) -> None:
    with pytest.raises(Refusal) as caught:
        parsing.parse([word], "agent")
    assert caught.value.status == EX_USAGE


def test_its_usage_shows_both_ways_and_that_the_rest_is_pis() -> None:
    command = command_table.named(command_line.TIMING)
    assert command is not None
    assert command_table.usage(command, "agent") == "agent --sandbox-timing[=json] [...]"
