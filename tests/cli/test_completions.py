"""Completion, as text. bash really runs it. The scenario of that name tests all three shells."""

from __future__ import annotations

import os
import re
import subprocess
from typing import Final

import pytest

from pi_agent.cli import command_table
from pi_agent.cli.command_table import COMMANDS
from pi_agent.cli.completions import bash, fish, zsh
from tests.support.commands import MANY


@pytest.mark.usefixtures("many")
def test_every_command_and_every_flag_is_completed_in_every_shell() -> None:
    for command in command_table.COMMANDS:
        for text in (bash.script("pi"), zsh.script("pi"), fish.script("pi").replace("-l ", "--")):
            assert command.name in text
            for argument in command.arguments:
                assert argument.positional or argument.attached or argument.name in text


def _bash(*words: str) -> list[str]:
    """What bash would offer for the last word, followed by the options passed to `compopt`."""
    script = (
        f"{bash.script('agent')}\n"
        'told=(); compopt() { told+=("$*"); }\n'
        'COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); '
        "function=$(complete -p agent | sed 's/.*-F \\([^ ]*\\).*/\\1/'); $function; "
        'printf "%s\\n" "${COMPREPLY[@]}" "${told[@]}"'
    )
    argv = ["bash", "-euc", script, "bash", *words]
    done = subprocess.run(argv, check=True, capture_output=True, text=True, env={"PATH": os.environ["PATH"]})
    assert done.stderr == ""
    return [line for line in done.stdout.splitlines() if line]


_NO_FILES: Final = "+o default +o bashdefault"


@pytest.mark.usefixtures("many")
@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["--sandbox-"], [command.name for command in (*COMMANDS, MANY)]),
        (["--sandbox-ma"], ["--sandbox-many"]),
        ([""], []),
        (["-p", "--sandbox-"], []),
        (["x", ""], []),
        (["--sandbox-many", "-"], [_NO_FILES, "--json", "--help"]),
        (["--sandbox-many", "--json", "--h"], [_NO_FILES, "--help"]),
        (["--sandbox-many", ""], [_NO_FILES]),
        (["--sandbox-many", "--json", "x", ""], [_NO_FILES, "-o dirnames"]),
        (["--sandbox-many", "x", "y", ""], [_NO_FILES]),
        (["--sandbox-many", "--", "-x", "--"], [_NO_FILES, "-o dirnames"]),
        (["--sandbox-many", "--", "--"], [_NO_FILES]),
        (["--sandbox-shell", ""], [_NO_FILES]),
        (["--sandbox-nothing", ""], []),
        (["--sandbox-timing", ""], []),
        (["--sandbox-timing", "--"], []),
    ],
)
def test_bash_offers_commands_first_then_their_arguments_and_leaves_the_rest_to_files(
    words: list[str], offered: list[str]
) -> None:
    assert sorted(_bash("agent", *words)) == sorted(offered)


@pytest.mark.parametrize("program", ["pi", "pi-agent", "pi+", "_pi.1"])
def test_any_name_of_the_command_will_do(program: str) -> None:
    argv = ["bash", "-euc", f"{bash.script(program)}\ncomplete -p -- {program}"]
    subprocess.run(argv, check=True, capture_output=True)
    names = {re.findall(r"-F (\S+)", bash.script(name))[0] for name in ("pi", "pi-agent", "pi+", "pi-")}
    assert len(names) == 4
