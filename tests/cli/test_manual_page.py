from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from pi_agent.cli import command_table, manual_page
from pi_agent.messages import refusal
from tests.support.commands import NASTY


def unformatted(text: str) -> str:
    """The page without what only affects its layout."""
    return re.sub(r"\\f[BIR]", "", text.replace("\\-", "-"))


@pytest.mark.usefixtures("many")
def test_the_usage_of_every_command_is_a_line_of_its_own() -> None:
    lines = unformatted(manual_page.manual("pi+")).splitlines()
    for command in command_table.COMMANDS:
        assert lines.count(command_table.usage(command, "pi+")) == 1


@pytest.mark.usefixtures("many")
def test_no_text_is_taken_for_a_macro_and_all_of_it_is_ascii() -> None:
    text = manual_page.manual("pi")
    assert text.isascii()
    assert "It\\(aqs [a]: \\[u00AB]b\\[u00BB] \\(rsc `d` $e." in text, NASTY
    known = {"TH", "SH", "B", "BR", "I", "br", "PP", "TP", "RS", "RE", "EX", "EE"}
    assert {line[1:].split()[0] for line in text.splitlines() if line.startswith((".", "'"))} <= known


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
