"""Stand-ins for the programs that the rooms start: small scripts that write down how they were called."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from pi_agent.policy import Tools
from tests import policies
from tests.policies import frozen

# Units end as soon as they are asked to.
_BODIES: Final = {"systemctl": '[ "$1" != is-active ] || exit 3'}


class Bin:
    """A directory of such scripts, and the log they write to."""

    def __init__(self, top: Path) -> None:
        self.top = top
        self.log = top / "calls.log"
        top.mkdir(parents=True, exist_ok=True)

    def script(self, name: str, body: str = "") -> str:
        """Make a program that logs its arguments, one line a call, and then does body (POSIX shell)."""
        path = self.top / name
        path.write_text(f'#!/bin/sh\nprintf "%s\\n" "{name} $*" >> "{self.log}"\n{body}\n')
        path.chmod(0o755)
        return str(path)

    def calls(self, name: str = "") -> list[str]:
        """The calls so far, of one program or of all."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return [line for line in lines if line.startswith(name)]

    def tools(self, **bodies: str) -> Tools:
        """The policy's tools as such scripts; bodies by attribute name."""
        paths = {
            name: self.script(name.replace("-", "_"), {**_BODIES, **bodies}.get(name.replace("-", "_"), ""))
            for name in policies.tools()
        }
        return frozen(tools=paths).tools
