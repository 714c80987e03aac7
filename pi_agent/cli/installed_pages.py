"""The files that are installed beside the command, made from the table of commands: tab completion and a manual page.

Run while building, as `python3 -m pi_agent.cli.installed_pages NAME DIRECTORY`. Nothing that a user runs imports it.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from pi_agent.cli import manual_page
from pi_agent.cli.completions import bash, fish, zsh


def pages(program: str) -> Mapping[str, str]:
    """Path below the package → text. program: the name of the user's command."""
    return {
        f"share/bash-completion/completions/{program}": bash.script(program),
        f"share/zsh/site-functions/_{program}": zsh.script(program),
        f"share/fish/vendor_completions.d/{program}.fish": fish.script(program),
        f"share/man/man1/{program}-sandbox.1": manual_page.manual(program),
    }


def main(arguments: Sequence[str]) -> None:
    """Write the pages for the command of this name below the directory."""
    program, directory = arguments
    for name, text in pages(program).items():
        path = Path(directory, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
