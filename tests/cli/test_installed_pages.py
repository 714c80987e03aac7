from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from pi_agent.cli import installed_pages
from tests.support.checkout import TOP


def test_the_pages_lie_where_shells_and_man_look_for_those_of_the_command() -> None:
    assert set(installed_pages.pages("agent+x")) == {
        "share/bash-completion/completions/agent+x",
        "share/zsh/site-functions/_agent+x",
        "share/fish/vendor_completions.d/agent+x.fish",
        "share/man/man1/agent+x-sandbox.1",
    }


def test_building_writes_the_pages_and_a_launch_never_imports_them(tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "pi_agent.cli.installed_pages", "agent", str(tmp_path)]
    subprocess.run(argv, check=True, cwd=TOP)
    for name, text in installed_pages.pages("agent").items():
        assert (tmp_path / name).read_text() == text
    for name in ("dispatch", "parsing", "command_table"):
        text = (TOP / f"pi_agent/cli/{name}.py").read_text()
        assert not {"completions", "manual_page", "installed_pages"} & set(re.findall(r"\w+", text))
