"""Completion and the manual page, as text; bash is tried for real. The scenario of that name has all three shells."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from pi_agent.cli import command_table, installed_pages, manual_page
from pi_agent.cli.command_table import COMMANDS, Argument, Command
from pi_agent.cli.completions import bash, fish, zsh
from pi_agent.messages import refusal
from tests.support.checkout import TOP

_NASTY: Final = r"it's [a]: «b» \c `d` $e"
_MANY: Final = Command(
    "--sandbox-many", _NASTY, (Argument("--json", _NASTY), Argument("SESSION", _NASTY), Argument("DIR", _NASTY))
)


@pytest.fixture
def many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command_table, "COMMANDS", (*COMMANDS, _MANY))


def test_the_pages_lie_where_shells_and_man_look_for_those_of_the_command() -> None:
    assert set(installed_pages.pages("agent+x")) == {
        "share/bash-completion/completions/agent+x",
        "share/zsh/site-functions/_agent+x",
        "share/fish/vendor_completions.d/agent+x.fish",
        "share/man/man1/agent+x-sandbox.1",
    }


@pytest.mark.usefixtures("many")
def test_every_command_and_every_argument_is_in_every_page() -> None:
    for command in command_table.COMMANDS:
        for text in (bash.script("pi"), zsh.script("pi"), fish.script("pi").replace("-l ", "--")):
            assert command.name in text
            for argument in command.arguments:
                assert argument.positional or argument.attached or argument.name in text
        manual = (
            manual_page.manual("pi").replace("\\-", "-").replace("\\fR", "").replace("\\fB", "").replace("\\fI", "")
        )
        usage = command_table.usage(command, "pi")
        assert f"\n{usage}\n" in manual
    assert "(rsc" in manual_page.manual("pi") and "\\[u00AB]b" in manual_page.manual("pi")
    assert manual_page.manual("pi").isascii()


def test_building_writes_the_pages_and_a_launch_never_imports_them(tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "pi_agent.cli.installed_pages", "agent", str(tmp_path)]
    subprocess.run(argv, check=True, cwd=TOP)
    assert (tmp_path / "share/zsh/site-functions/_agent").read_text() == zsh.script("agent")
    for name in ("dispatch", "parsing", "command_table"):
        text = (TOP / f"pi_agent/cli/{name}.py").read_text()
        assert not {"completions", "manual_page", "installed_pages"} & set(re.findall(r"\w+", text))


def test_the_manual_knows_every_exit_status_and_no_other() -> None:
    shown = {int(number) for number in re.findall(r"^\.B (\d+)$", manual_page.manual("pi"), flags=re.MULTILINE)}
    assert shown == {0} | {value for name, value in vars(refusal).items() if name.startswith("EX_")}


@pytest.mark.usefixtures("many")
@pytest.mark.skipif(shutil.which("groff") is None, reason="groff is not here; the scenario asks it")
def test_groff_has_nothing_to_complain_of() -> None:
    argv = ["groff", "-man", "-ww", "-Tutf8"]
    done = subprocess.run(argv, input=manual_page.manual("agent"), check=True, capture_output=True, text=True)
    assert done.stderr == ""
    assert "«b»" in done.stdout and "It's [a]" in done.stdout


def _bash(*words: str) -> list[str]:
    """What bash would offer for the last word, and at the end the options that `compopt` was told."""
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
        (["--sandbox-"], [command.name for command in (*COMMANDS, _MANY)]),
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
