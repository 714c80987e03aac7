from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pi_agent.cli import parsing
from pi_agent.cli.command_table import COMMANDS
from pi_agent.messages.refusal import EX_USAGE, Refusal
from tests.support.commands import MANY


@pytest.mark.usefixtures("many")
@pytest.mark.parametrize(
    ("words", "flags", "values"),
    [
        ([], set(), {}),
        (["--json"], {"--json"}, {}),
        (["a", "--json", "b"], {"--json"}, {"SESSION": "a", "DIR": "b"}),
        (["--", "--json", "-x"], set(), {"SESSION": "--json", "DIR": "-x"}),
        (["--", "--"], set(), {"SESSION": "--"}),
        ([""], set(), {"SESSION": ""}),
    ],
)
def test_arguments_are_flags_and_values_in_their_order(
    words: list[str], flags: set[str], values: dict[str, str]
) -> None:
    request = parsing.parse([MANY.name, *words], "agent")
    assert request == parsing.Invocation(MANY, frozenset(flags), values, help=False)


@pytest.mark.usefixtures("many")
@pytest.mark.parametrize("words", [["--help"], ["-h"], ["--nothing", "--help"]])
def test_help_wins_over_everything(words: list[str]) -> None:
    assert parsing.parse([MANY.name, *words], "agent").help


@pytest.mark.usefixtures("many")
@pytest.mark.parametrize("words", [["--nothing"], ["a", "b", "c"], ["-j"], ["--json=1"], ["--", "a", "b", "\x1b[2J"]])
def test_what_is_not_understood_is_named_harmlessly_with_the_usage(words: list[str]) -> None:
    with pytest.raises(Refusal) as caught:
        parsing.parse([MANY.name, *words], "agent")
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


@given(
    st.lists(st.sampled_from(["--json", "--yes", "--all", "--", "--help", "-", "-x", "", "a", "--json=x"]), max_size=4)
)
def test_whatever_is_typed_is_understood_or_refused(words: list[str]) -> None:
    for command in COMMANDS:
        try:
            found = parsing.parse([command.name, *words], "agent")
        except Refusal as refusal:
            assert refusal.status == EX_USAGE
        else:
            assert found.command is command
            assert found.flags <= {argument.name for argument in command.arguments if not argument.positional}
            assert found.values.keys() <= {argument.name for argument in command.arguments if argument.positional}
