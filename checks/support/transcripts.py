"""Transcripts that an agent wrote, or pretends to have written."""

from __future__ import annotations

from support.commands import inside

S = "S=~/.pi/agent/sessions; mkdir -p $S/--p--; "


def planted(name: str, content: str, user: str = "alice") -> None:
    """A transcript that the agent wrote."""
    script = S + 'mkdir -p "$(dirname "$S/$1")"; printf "%s\\n" "$2" >"$S/$1"'
    inside(script, name, content, user=user).ok()
