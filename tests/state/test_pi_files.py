from __future__ import annotations

import pytest

from pi_agent.state import pi_files

_PIS: tuple[str, ...] = (
    "sessions",
    "bin",
    "npm",
    "git",
    "models-store.json",
    "crashes.json",
    "pi-debug.log",
    "mcp.log",
)
_PIS += ("mcp.log.1", "settings.json.lock", "mcp-auth-refresh-0123456789abcdef.lock", "x.lock", "a.md.lock")
_MIRRORED: tuple[str, ...] = ("extensions", "skills", "prompts", "commands", "themes", "hooks", "tools", "node_modules")
_MIRRORED += ("package.json", "mcp.json", "oauth.json", "keybindings.json", "models.json", ".pi-agent-new")
_MIRRORED += ("AGENTS.md", "AGENTS.MD", "AGENTS.override.md", "CLAUDE.MD", "SYSTEM.md", ".md")
_MERGED = ("settings.json", "auth.json", "mcp-auth.json", "trust.json")
_OTHERS = ("custom", "sessions2", "Skills", "md", "lock", ".pi-agent", "pi-crash.log", "tmp2", "auth.json.bak")


@pytest.mark.parametrize(
    ("names", "pis", "mirrored", "skipped"),
    [
        (_PIS, True, False, True),
        (_MIRRORED, False, True, False),
        ((*_MERGED, "tmp", ".env"), False, False, True),
        (_OTHERS, False, False, False),
    ],
    ids=["Pi's own", "mirrored", "written otherwise", "others"],
)
def test_who_owns_a_name(names: tuple[str, ...], pis: bool, mirrored: bool, skipped: bool) -> None:
    for name in names:
        found = pi_files.is_pis_own(name), pi_files.is_mirrored(name), pi_files.is_skipped(name)
        assert found == (pis, mirrored, skipped), name
