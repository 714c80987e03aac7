"""A command with every kind of argument, for tests, in addition to the existing ones."""

from __future__ import annotations

from typing import Final

from pi_agent.cli.command_table import Argument, Command

NASTY: Final = r"it's [a]: «b» \c `d` $e"
MANY: Final = Command(
    "--sandbox-many", NASTY, (Argument("--json", NASTY), Argument("SESSION", NASTY), Argument("DIR", NASTY))
)
