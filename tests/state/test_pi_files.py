from __future__ import annotations

import pytest

from pi_agent.state import pi_files


@pytest.mark.parametrize(
    ("name", "pis", "mirrored"),
    [
        *[(name, True, False) for name in ("sessions", "bin", "npm", "git", "trust.json", "models-store.json")],
        *[
            (name, True, False)
            for name in ("pi-debug.log", "pi-crash.log", "settings.json.lock", "x.lock", "a.md.lock")
        ],
        *[(name, False, True) for name in ("extensions", "skills", "prompts", "themes", "AGENTS.md", "SYSTEM.md")],
        *[(name, False, True) for name in ("keybindings.json", "models.json", ".md", ".pi-agent-new")],
        *[
            (name, False, False)
            for name in ("custom", "sessions2", "settings.json", "Skills", "md", "lock", ".pi-agent")
        ],
    ],
)
def test_who_owns_a_name(name: str, pis: bool, mirrored: bool) -> None:
    assert pi_files.is_pis_own(name) is pis
    assert pi_files.is_mirrored(name) is mirrored


@pytest.mark.parametrize(
    ("name", "skipped"),
    [
        *[(name, True) for name in ("settings.json", "auth.json", ".env", "sessions", "x.lock", "pi-debug.log")],
        *[(name, False) for name in ("skills", "AGENTS.md", "models.json", "custom", ".environment", "auth.json.bak")],
    ],
)
def test_what_is_pis_own_or_written_by_other_means_is_not_copied_as_a_file(name: str, skipped: bool) -> None:
    assert pi_files.is_skipped(name) is skipped
